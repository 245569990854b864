//! What a schedule's expression says: `now`, an interval, or cron fields. How it is written, and which texts are refused; when
//! it ticks is in `timetable`.

use std::{fmt, str::FromStr, time::Duration};

use agents::durations;

use super::fields::Fields;
use crate::Error;

/// Characters of an expression, at most.
const LENGTH_MAX: usize = 500;
/// The shortest interval, and what every interval is a multiple of.
const INTERVAL_MIN: Duration = Duration::from_secs(1);

/// When a schedule ticks, as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    text: String,
    pub(super) meaning: Meaning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Once, when it is given.
    Now,
    /// Over and over, counted from when it was given.
    Every(Duration),
    /// Whenever the local time is one of these.
    Cron(Fields),
}

impl FromStr for Expression {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.chars().count() > LENGTH_MAX {
            return Err(Error::invalid("expression", format!("at most {LENGTH_MAX} characters")));
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let meaning = match words.as_slice() {
            ["now"] => Meaning::Now,
            [interval] if interval.starts_with(|first: char| first.is_ascii_digit()) => {
                Meaning::Every(every(interval)?)
            }
            [_, _, _, _, _] | [_, _, _, _, _, _] | [_, _, _, _, _, _, _] => Meaning::Cron(Fields::parse(&words)?),
            _ => {
                return Err(Error::invalid(
                    "expression",
                    format!(
                        "{text:?} is none of: now; an interval like 30s or 15m; cron fields: minute hour day month weekday, \
                         a second before them if there are six, a year behind them if there are seven"
                    ),
                ));
            }
        };
        Ok(Self { text: words.join(" "), meaning })
    }
}

fn every(text: &str) -> Result<Duration, Error> {
    let interval = durations::parse(text).map_err(|detail| Error::invalid("expression", detail))?;
    if interval < INTERVAL_MIN || interval.subsec_nanos() != 0 {
        return Err(Error::invalid("expression", format!("{text:?}: an interval is one whole second or more of them")));
    }
    Ok(interval)
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<Expression>().expect_err(text).to_string()
    }

    #[test]
    fn now_intervals_and_five_to_seven_fields_are_read() {
        for text in ["now", "1s", "15m", "366d", "* * * * *", "*/15 0-6,22 1,15 jan-MAR mon-fri", "30 0 12 * * SUN"] {
            assert_eq!(text.parse::<Expression>().map(|read| read.to_string()).ok().as_deref(), Some(text));
        }
        assert_eq!(" 0  9 * * 1-5 ".parse::<Expression>().unwrap().to_string(), "0 9 * * 1-5");
        assert!("0 0 12 24 12 * 2099".parse::<Expression>().is_ok());
    }

    #[test]
    fn a_refusal_names_the_field_and_what_it_may_be() {
        for (text, said) in [
            ("60 * * * *", "minute: \"60\" is not 0 to 59"),
            ("* 24 * * *", "hour: \"24\" is not 0 to 23"),
            ("* * 0 * *", "day: \"0\" is not 1 to 31"),
            ("* * * 13 *", "month: \"13\" is not 1 to 12, or jan to dec"),
            ("* * * * 8", "weekday: \"8\" is not 0 to 7, or sun to sat"),
            ("* * * * monday", "weekday: \"monday\" is not"),
            ("0 * * * * * 1969", "year: \"1969\" is not 1970 to 2100"),
            ("61 * * * * *", "second: \"61\" is not 0 to 59"),
            ("*/0 * * * *", "minute: \"*/0\": a step is 1 to 59"),
            ("*/60 * * * *", "minute: \"*/60\": a step is 1 to 59"),
            ("5/15 * * * *", "minute: \"5/15\": a step goes with * or a range, like 5-59/…"),
            ("* 22-6 * * *", "hour: \"22-6\" goes backwards"),
            ("* * * * fri-mon", "weekday: \"fri-mon\" goes backwards"),
            ("+5 * * * *", "minute: \"+5\" is not"),
            ("1, * * * *", "minute: \"\" is not"),
            ("* * ? * *", "day: \"?\" is not"),
            ("* * L * *", "day: \"L\" is not"),
        ] {
            assert!(refusal(text).starts_with(&format!("expression: {said}")), "{}", refusal(text));
        }
    }

    #[test]
    fn what_is_no_expression_at_all_is_told_what_is() {
        for text in ["", "soon", "@daily", "* * * *", "* * * * * * * *", "every 5m"] {
            assert!(refusal(text).contains("an interval like 30s or 15m; cron fields: minute hour"), "{text}");
        }
        assert!(refusal("0s").contains("one whole second"));
        assert!(refusal("1500ms").contains("one whole second"));
        assert!(refusal("5").contains("not a span of time"));
        assert!(refusal("400d").contains("longer than a year"));
        assert!(refusal(&"1,".repeat(300)).contains("at most 500 characters"));
    }
}
