//! Recordings: where their bytes come from, how they become lines within limits, how their clock is moved. Knows no
//! format.

mod clock;
mod files;
mod lines;

pub(crate) use clock::Clock;
pub use files::Files;
pub(crate) use lines::Lines;
