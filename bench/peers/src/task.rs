//! The job that every peer carries: about 200 bytes of JSON with a number in it.

use serde::{Deserialize, Serialize};

/// A job. The number says which handler start belongs to which enqueue.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "river", derive(riverqueue::JobArgs))]
#[cfg_attr(feature = "river", river(kind = "measure"))]
#[cfg_attr(feature = "awa", derive(awa::JobArgs))]
pub(crate) struct Measure {
    pub(crate) number: u64,
    station: String,
    text: String,
}

impl Measure {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, station: "sju-01".to_owned(), text: "0123456789abcdef".repeat(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_about_two_hundred_bytes() {
        let bytes = serde_json::to_vec(&Measure::new(99_999)).unwrap().len();
        assert!((190..=210).contains(&bytes), "{bytes}");
    }
}
