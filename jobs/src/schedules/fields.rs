//! The fields of a cron expression, read strictly: every value is checked, and what is refused is said of its field. What the
//! fields allow is found by the `cron` crate, which is given lists of numbers only, since it counts weekdays from 1 and wants
//! day and weekday both to fit. Local times only: zones are `ticks`'.

use std::{collections::BTreeSet, str::FromStr};

use chrono::NaiveDateTime;
use cron::Schedule;

use crate::Error;

/// One place of an expression.
struct Field {
    name: &'static str,
    min: u16,
    max: u16,
    /// Names of its values, from the smallest on.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const SECOND: Field = Field { name: "second", min: 0, max: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", min: 0, max: 59, names: &[] };
const HOUR: Field = Field { name: "hour", min: 0, max: 23, names: &[] };
const DAY: Field = Field { name: "day", min: 1, max: 31, names: &[] };
const MONTH: Field = Field { name: "month", min: 1, max: 12, names: &MONTHS };
/// Sunday is 0 and 7.
const WEEKDAY: Field = Field { name: "weekday", min: 0, max: 7, names: &WEEKDAYS };
const YEAR: Field = Field { name: "year", min: 1970, max: 2100, names: &[] };

/// The values that one field allows.
struct Allowed {
    values: BTreeSet<u16>,
    /// Written with a `*`: no restriction, as far as day and weekday go.
    starred: bool,
}

/// A cron expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    /// One, or two of which either suffices.
    either: Vec<Schedule>,
}

impl Fields {
    /// Reads five fields (minute, hour, day, month, weekday), six (a second before them) or seven (a year behind them).
    pub(super) fn parse(texts: &[&str]) -> Result<Self, Error> {
        let (second, rest) = if texts.len() == 5 { ("0", texts) } else { (texts[0], &texts[1..]) };
        let [minute, hour, day, month, weekday, year @ ..] = rest else {
            unreachable!("an expression with fewer fields is none of cron's")
        };
        let time = [SECOND.read(second)?, MINUTE.read(minute)?, HOUR.read(hour)?].map(|field| field.list());
        let (day, month, weekday) = (DAY.read(day)?, MONTH.read(month)?.list(), WEEKDAY.read(weekday)?.weekdays());
        let year = year.first().map_or(Ok("*".to_owned()), |year| Ok::<_, Error>(YEAR.read(year)?.list()))?;
        let time = time.join(" ");
        let schedule = |day: &str, weekday: &str| {
            let text = format!("{time} {day} {month} {weekday} {year}");
            Schedule::from_str(&text).map_err(|error| Error::Internal(format!("cron can't read {text:?}: {error}")))
        };
        // As crontab(5) has it: where both are restricted, either suffices.
        let either = if day.starred || weekday.starred {
            vec![schedule(&day.list(), &weekday.list())?]
        } else {
            vec![schedule(&day.list(), "*")?, schedule("*", &weekday.list())?]
        };
        Ok(Self { either })
    }

    /// The first time after `local` that the fields allow, to the second.
    pub(super) fn next_after(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        // UTC has every time once: the crate never meets a zone.
        let after = local.and_utc();
        self.either.iter().filter_map(|schedule| schedule.after(&after).next()).min().map(|next| next.naive_utc())
    }
}

impl Allowed {
    fn list(&self) -> String {
        let values: Vec<String> = self.values.iter().map(u16::to_string).collect();
        values.join(",")
    }

    /// As the crate counts them: 1 is Sunday.
    fn weekdays(self) -> Self {
        Self { values: self.values.iter().map(|day| day % 7 + 1).collect(), ..self }
    }
}

impl Field {
    fn read(&self, text: &str) -> Result<Allowed, Error> {
        let mut values = BTreeSet::new();
        for item in text.split(',') {
            values.extend(self.item(item)?);
        }
        Ok(Allowed { values, starred: text.starts_with('*') })
    }

    /// `*`, `5`, `1-5`, `*/15` or `1-31/2`.
    fn item(&self, text: &str) -> Result<Vec<u16>, Error> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(self.step(step, text)?)),
            None => (text, None),
        };
        let (first, last) = match range.split_once('-') {
            // The second name of Sunday adds nothing.
            None if range == "*" => (self.min, if self.max == WEEKDAY.max { 6 } else { self.max }),
            None if step.is_some() => {
                return Err(
                    self.refused(format!("{text:?}: a step goes with * or a range, like {range}-{}/…", self.max))
                );
            }
            None => (self.value(range)?, self.value(range)?),
            Some((first, last)) => (self.value(first)?, self.last(last)?),
        };
        if first > last {
            return Err(self.refused(format!("{range:?} goes backwards; write it as two ranges")));
        }
        Ok((first..=last).step_by(usize::from(step.unwrap_or(1))).collect())
    }

    fn step(&self, step: &str, text: &str) -> Result<u16, Error> {
        let most = self.max - self.min;
        match number(step) {
            Some(step) if (1..=most).contains(&step) => Ok(step),
            _ => Err(self.refused(format!("{text:?}: a step is 1 to {most}"))),
        }
    }

    /// The end of a range, where Sunday is the last day and not the first.
    fn last(&self, text: &str) -> Result<u16, Error> {
        let value = self.value(text)?;
        Ok(if self.max == WEEKDAY.max && value == 0 { 7 } else { value })
    }

    fn value(&self, text: &str) -> Result<u16, Error> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = named.and_then(|place| u16::try_from(place).ok()).map(|place| self.min + place).or(number(text));
        value.filter(|value| (self.min..=self.max).contains(value)).ok_or_else(|| {
            let names = self.names.first().zip(self.names.last());
            let names = names.map_or_else(String::new, |(first, last)| format!(", or {first} to {last}"));
            self.refused(format!("{text:?} is not {} to {}{names}", self.min, self.max))
        })
    }

    fn refused(&self, detail: String) -> Error {
        Error::invalid("expression", format!("{}: {detail}", self.name))
    }
}

/// Digits and nothing else: no sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}
