//! Spans of time as configuration writes them: `250ms`, `30s`, `5m`, `2h`, `7d`. One number and one unit; no sums.

use std::{fmt, time::Duration};

use serde::{
    Deserializer, Serializer,
    de::{self, Visitor},
};

/// The longest span that configuration may name.
pub const SPAN_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Reads `30s`, `5m` and the like; the error names the text.
///
/// # Errors
/// When the text isn't a whole number and a unit, or the span is over a year.
pub fn parse(text: &str) -> Result<Duration, String> {
    let trimmed = text.trim();
    let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = trimmed.split_at(digits);
    let refused = || format!("{text:?} is not a span of time like 30s, 5m, 2h or 7d");
    let count: u64 = number.parse().map_err(|_| refused())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(refused()),
    };
    let span = Duration::from_millis(count.checked_mul(millis).ok_or_else(refused)?);
    if span > SPAN_MAX { Err(format!("{text:?} is longer than a year")) } else { Ok(span) }
}

/// The shortest text that [`parse`] reads back as the same span (whole milliseconds).
#[must_use]
pub fn print(span: Duration) -> String {
    let millis = span.as_millis();
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")]
        .into_iter()
        .find(|(size, _)| millis > 0 && millis.is_multiple_of(*size))
        .map_or_else(|| format!("{millis}ms"), |(size, unit)| format!("{}{unit}", millis / size))
}

pub(crate) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&print(*span))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    /// Refuses inside the visit, where the reader of a file still knows the place.
    struct Span;

    impl Visitor<'_> for Span {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a span of time like 30s, 5m, 2h or 7d")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse(text).map_err(E::custom)
        }
    }

    from.deserialize_str(Span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_one_number_and_one_unit() {
        assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "5", "m", "-1s", "1h30m", "99999999999999999999s", "400d", "18446744073709551615d"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        for millis in [0, 250, 1_000, 90_000, 5_400_000, 86_400_000] {
            let span = Duration::from_millis(millis);
            assert_eq!(parse(&print(span)), Ok(span));
        }
        assert_eq!(print(Duration::from_secs(7200)), "2h");
    }
}
