//! `post`: which message goes to which channel. Sending it is the caller's, with an idempotency key of its own, so
//! that a repeated step doesn't post twice.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Action, InputError, input};
use crate::{chat::Message, playbooks::Context};

pub(super) const INPUTS: &[&str] = &["text", "channel", "thread"];

/// What to say and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The text.
    pub text: String,
    /// None: the channel the run was asked in, else the station's.
    #[serde(default)]
    pub channel: Option<String>,
    /// None: the thread the run was asked in, when the message goes to the channel of that thread.
    #[serde(default)]
    pub thread: Option<String>,
}

/// A message and its channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The channel's slug.
    pub channel: String,
    /// What to post.
    pub message: Message,
}

/// Resolves a step's input to a message.
///
/// # Errors
/// When the input isn't one or the text is blank.
pub fn resolve(with: &Value, context: &Context) -> Result<Outgoing, InputError> {
    let input: Input = input(Action::Post, with)?;
    if input.text.trim().is_empty() {
        return Err(InputError { action: Action::Post.name(), message: "the text is blank".into() });
    }
    let named = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let asked_in = context.run.channel.clone();
    let channel = named(input.channel).or_else(|| asked_in.clone()).unwrap_or_else(|| context.station.channel.clone());
    let thread_of_asker = context.run.thread.clone().filter(|_| asked_in.as_ref() == Some(&channel));
    let thread = named(input.thread).or(thread_of_asker);
    let metadata = json!({"run_id": context.run.id, "station": context.station.slug});
    Ok(Outgoing { channel, message: Message { text: input.text, thread, metadata } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::playbooks::tests::context;

    #[test]
    fn a_message_goes_where_the_run_was_asked_for() {
        let mut context = context();
        let silent = resolve(&json!({"text": "x"}), &context).unwrap();
        assert_eq!((silent.channel.as_str(), silent.message.thread.as_deref()), ("toc-s1", None));

        (context.run.channel, context.run.thread) = (Some("ops-floor".into()), Some("t-1".into()));
        let asked = resolve(&json!({"text": "x"}), &context).unwrap();
        assert_eq!((asked.channel.as_str(), asked.message.thread.as_deref()), ("ops-floor", Some("t-1")));

        let elsewhere = resolve(&json!({"text": "x", "channel": "log"}), &context).unwrap();
        assert_eq!((elsewhere.channel.as_str(), elsewhere.message.thread.as_deref()), ("log", None));
    }

    #[test]
    fn a_blank_text_is_refused() {
        assert!(resolve(&json!({"text": " \n"}), &context()).is_err());
    }
}
