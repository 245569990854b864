//! What a person sees while something takes its time: one line a step, with a moving mark on a terminal and plain lines
//! everywhere else. Always on the error output; the output proper belongs to results.

use std::fmt::Display;
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const TURN_EVERY: Duration = Duration::from_millis(100);

/// A step under way. Dropped without an end, it leaves no line on a terminal; its error follows elsewhere.
#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// Says that something begins.
    #[must_use]
    pub(crate) fn begin(name: impl Into<String>) -> Step {
        let name = name.into();
        let bar = stderr().is_terminal().then(|| turning(&name));
        if bar.is_none() {
            say(format_args!("{name} …"));
        }
        Step { name, began: Instant::now(), bar }
    }

    /// Says that it is done, and what came of it.
    pub(crate) fn done(self, result: impl Display) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(format_args!("{}: {result} ({})", self.name, seconds(self.began.elapsed())));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A line for the person, between steps.
pub(crate) fn say(line: impl Display) {
    eprintln!("{line}");
}

/// A duration as a person reads it: `0.4 s`, `12.0 s`.
#[must_use]
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn turning(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("invariant: the template is constant");
    let bar = ProgressBar::new_spinner().with_style(style).with_message(name.to_owned());
    bar.enable_steady_tick(TURN_EVERY);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_tenths_of_a_second() {
        assert_eq!(seconds(Duration::from_millis(449)), "0.4 s");
        assert_eq!(seconds(Duration::from_secs(75)), "75.0 s");
    }
}
