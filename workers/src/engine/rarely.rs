//! What is dear is done rarely: so rarely that it takes no more than a twentieth of the time, however dear it gets.

use std::time::{Duration, Instant};

/// The time it leaves to others, by its own.
const OTHERS: u32 = 19;

/// See the module.
#[derive(Debug)]
pub(crate) struct Rarely {
    next: Instant,
}

impl Rarely {
    /// It may be done at once.
    pub(crate) fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// When it may be done again.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Whether it may be done now.
    pub(crate) fn may(&self) -> bool {
        self.next <= Instant::now()
    }

    /// It was done, and took so long.
    pub(crate) fn took(&mut self, took: Duration) {
        self.next = Instant::now() + took * OTHERS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_a_second_may_be_done_again_after_nineteen() {
        let mut rarely = Rarely::new();
        assert!(rarely.may());
        rarely.took(Duration::from_secs(1));
        let pause = rarely.next() - Instant::now();
        assert!(!rarely.may() && (18..=19).contains(&pause.as_secs()), "{pause:?}");
    }
}
