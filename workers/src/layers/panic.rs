//! A panic is a failed attempt of that job and nothing else.

use std::any::Any;

/// What a panic said.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
pub(crate) struct Panicked(String);

/// A handler of apalis' catch-panic layer.
pub(crate) type Caught = fn(&Box<dyn Any + Send>) -> Panicked;

/// The one of ours.
pub(crate) fn caught(payload: &Box<dyn Any + Send>) -> Panicked {
    let said =
        payload.downcast_ref::<&str>().map(ToString::to_string).or_else(|| payload.downcast_ref::<String>().cloned());
    Panicked(said.unwrap_or_else(|| "with a value that is no text".to_owned()))
}
