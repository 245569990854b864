//! The package from outside: the shipped recordings, decoded, merged and told. One binary, a file per story.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it does not expect")]

mod picture;
mod recordings;
mod shipped;
