//! What becomes of an attempt, and how long a retry waits.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Ending, Until, enqueue::length};

/// Characters of an error that are kept.
const ERROR_MAX: usize = 4_000;
/// Bytes of an output that are kept.
const OUTPUT_MAX: usize = 64 * 1024;

/// What an attempt came to. The engine turns it into rows; nothing of it is decided by an exception.
#[derive(Debug, Clone, PartialEq)]
pub enum Fate {
    /// Finished; the output is kept (capped).
    Done(Option<Value>),
    /// Finished already, in the transaction that also held the job's database effects.
    Committed,
    /// A failed attempt; again after the kind's backoff, or after what the far side asked for.
    Retry {
        /// Why, for the operator. No secrets, no upstream bodies.
        error: String,
        /// The far side's Retry-After; clamped to 1 s … 1 h.
        after: Option<Duration>,
        /// What kind of failure.
        fault: Fault,
    },
    /// Not now; no attempt is burned.
    Snooze {
        /// How long.
        pause: Duration,
        /// Why, for the operator.
        reason: String,
    },
    /// Not before its children have ended or an answer has come; no attempt is burned, and no slot is held meanwhile.
    Wait {
        /// What for.
        until: Until,
        /// How long at most; then the job runs again whatever came.
        within: Duration,
    },
    /// Never again.
    Cancel(String),
    /// It can never succeed, whatever attempts are left.
    Dead(String),
    /// The process is stopping or gave the lease up; no attempt is burned.
    Interrupted,
    /// The lease is gone: nothing of this attempt is written.
    Stale,
}

impl Fate {
    /// What the engine writes for this fate; nothing when it is written already or mustn't be. `jitter` is in 0 … 1. Output and
    /// error are no larger than what is kept of them, since an ending may have to wait for the database.
    #[must_use]
    pub fn ending(self, backoff: &Backoff, attempt: i16, attempts_max: i16, jitter: f64) -> Option<Ending> {
        Some(match self {
            Self::Committed | Self::Stale => return None,
            Self::Done(output) => Ending::Done(output.map(|output| omitted(&output).unwrap_or(output))),
            Self::Cancel(reason) => Ending::Cancelled(cut(&reason)),
            Self::Dead(error) => Ending::Dead { outcome: "dead", error: cut(&error) },
            Self::Retry { error, fault, .. } if attempt >= attempts_max => {
                let outcome = if fault == Fault::Error { "dead" } else { fault.outcome() };
                Ending::Dead { outcome, error: cut(&format!("{error} (attempt {attempt} of {attempts_max})")) }
            }
            Self::Retry { error, after, fault } => {
                let delay = after.map_or_else(|| backoff.wait(attempt.unsigned_abs(), jitter), Backoff::asked);
                Ending::Again { delay, burned: true, outcome: fault.outcome(), error: Some(cut(&error)) }
            }
            Self::Snooze { pause, reason } => {
                Ending::Again { delay: pause, burned: false, outcome: "snooze", error: Some(cut(&reason)) }
            }
            Self::Wait { until, within } => Ending::Wait { until, within },
            Self::Interrupted => {
                Ending::Again { delay: Duration::ZERO, burned: false, outcome: "interrupted", error: None }
            }
        })
    }
}

/// As much of an error as is kept.
pub(super) fn cut(text: &str) -> String {
    text.chars().filter(|c| *c != '\0').take(ERROR_MAX).collect()
}

/// What is kept in place of an output over the cap; none for others.
pub(super) fn omitted(output: &Value) -> Option<Value> {
    let bytes = length(output);
    (bytes > OUTPUT_MAX).then(|| json!({ "omitted": "output over the cap", "bytes": bytes, "bytes_max": OUTPUT_MAX }))
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It said so.
    Error,
    /// It took longer than its kind may.
    TimedOut,
    /// It panicked.
    Panicked,
}

impl Fault {
    pub(crate) fn outcome(self) -> &'static str {
        match self {
            Self::Error => "retry",
            Self::TimedOut => "timed_out",
            Self::Panicked => "panicked",
        }
    }
}

/// `min(cap, base · attempt⁴)`, of which a random part is waited (full jitter).
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Backoff {
    /// How long to wait after `attempt` (from 1); `jitter` is in 0 … 1.
    #[must_use]
    pub fn wait(&self, attempt: u16, jitter: f64) -> Duration {
        let factor = f64::from(attempt).powi(4);
        let longest = (self.base.as_secs_f64() * factor).min(self.cap.as_secs_f64());
        Duration::from_secs_f64(longest * jitter.clamp(0.0, 1.0))
    }

    /// What a far side asked for, within reason.
    #[must_use]
    pub fn asked(after: Duration) -> Duration {
        after.clamp(Duration::from_secs(1), Duration::from_secs(3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(3600) };

    #[test]
    fn the_longest_wait_grows_with_the_fourth_power_up_to_the_cap() {
        let longest = |attempt| BACKOFF.wait(attempt, 1.0).as_secs();
        assert_eq!([1, 2, 3, 7, 8, 25].map(longest), [1, 16, 81, 2401, 3600, 3600]);
    }

    #[test]
    fn a_peers_wish_is_kept_within_a_second_and_an_hour() {
        assert_eq!(Backoff::asked(Duration::ZERO).as_secs(), 1);
        assert_eq!(Backoff::asked(Duration::from_secs(90)).as_secs(), 90);
        assert_eq!(Backoff::asked(Duration::from_secs(10_000_000)).as_secs(), 3600);
    }

    #[test]
    fn the_last_attempt_is_dead_and_a_snooze_or_interruption_burns_none() {
        let retry = || Fate::Retry { error: "no".to_owned(), after: None, fault: Fault::Error };
        assert!(
            matches!(retry().ending(&BACKOFF, 2, 3, 1.0), Some(Ending::Again { burned: true, delay, .. }) if delay.as_secs() == 16)
        );
        assert!(matches!(retry().ending(&BACKOFF, 3, 3, 1.0), Some(Ending::Dead { outcome: "dead", .. })));
        assert!(matches!(Fate::Interrupted.ending(&BACKOFF, 3, 3, 1.0), Some(Ending::Again { burned: false, .. })));
        let snooze = Fate::Snooze { pause: Duration::from_secs(5), reason: String::new() };
        assert!(matches!(snooze.ending(&BACKOFF, 3, 3, 1.0), Some(Ending::Again { burned: false, .. })));
        assert!(Fate::Stale.ending(&BACKOFF, 1, 3, 1.0).is_none());
    }

    #[test]
    fn what_waits_to_be_written_is_no_larger_than_what_is_kept() {
        let ending = |fate: Fate| fate.ending(&BACKOFF, 3, 3, 1.0);
        let long = || "é".repeat(100_000);
        assert!(
            matches!(ending(Fate::Done(Some(json!(long())))), Some(Ending::Done(Some(kept))) if length(&kept) < 100)
        );
        assert_eq!(ending_of_output(json!({ "n": 1 })), Some(json!({ "n": 1 })));
        let retry = |fault| Fate::Retry { error: long(), after: None, fault };
        for fate in [Fate::Dead(long()), retry(Fault::Error)] {
            assert!(matches!(ending(fate), Some(Ending::Dead { error, .. }) if error.chars().count() == ERROR_MAX));
        }
        assert!(
            matches!(ending(Fate::Cancel(long())), Some(Ending::Cancelled(reason)) if reason.chars().count() == ERROR_MAX)
        );
        let again = retry(Fault::Error).ending(&BACKOFF, 1, 3, 1.0);
        assert!(matches!(again, Some(Ending::Again { error: Some(error), .. }) if error.chars().count() == ERROR_MAX));
        let snooze = Fate::Snooze { pause: Duration::ZERO, reason: long() };
        assert!(
            matches!(ending(snooze), Some(Ending::Again { error: Some(error), .. }) if error.chars().count() == ERROR_MAX)
        );
    }

    fn ending_of_output(output: Value) -> Option<Value> {
        match Fate::Done(Some(output)).ending(&BACKOFF, 1, 3, 1.0) {
            Some(Ending::Done(output)) => output,
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_the_cap(attempt in 0_u16..=u16::MAX, jitter in 0.0_f64..=1.0) {
            prop_assert!(BACKOFF.wait(attempt, jitter) <= BACKOFF.cap);
        }
    }
}
