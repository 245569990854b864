//! A chat message as its sender puts it, and what it is held to before anything is made of it. What it means is
//! `intent`'s to say.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::Error;

/// Characters of a sender's id, of a delivery, an event or a person.
pub(super) const ID_CHARS_MAX: usize = 255;
/// Characters of a channel's slug, and of a thread.
const PLACE_CHARS_MAX: usize = 128;

/// A chat message as its sender puts it. Unknown fields are ignored: senders add some.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ChatMessage {
    /// The sender's id of the event, at most 255 characters.
    pub id: Option<String>,
    /// What happened; none means a message.
    pub r#type: Option<String>,
    /// Slug of the channel, at most 128 characters.
    pub channel: Option<String>,
    /// The thread within it, at most 128 characters.
    pub thread: Option<String>,
    /// What was said.
    pub text: String,
    /// Who said it.
    pub user: Option<ChatUser>,
    /// Slug of the station it is for.
    pub station: Option<String>,
    /// When it was said.
    pub created_at: Option<DateTime<Utc>>,
}

/// Who said something.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ChatUser {
    /// The sender's id of the person, at most 255 characters.
    pub id: Option<String>,
    /// Their name, at most 255 characters.
    pub name: Option<String>,
}

impl ChatMessage {
    /// The same in characters that the database can hold (what was signed is answered, however strange), unless what
    /// becomes a key or a name is too long for one.
    pub(super) fn checked(self) -> Result<Self, Error> {
        let limits = [
            ("id", &self.id, ID_CHARS_MAX),
            ("channel", &self.channel, PLACE_CHARS_MAX),
            ("thread", &self.thread, PLACE_CHARS_MAX),
        ];
        for (field, text, chars_max) in limits {
            at_most(field, text.as_deref().unwrap_or_default(), chars_max)?;
        }
        for text in self.user.iter().flat_map(|user| [&user.id, &user.name]).flatten() {
            at_most("user", text, ID_CHARS_MAX)?;
        }
        Ok(self.storable())
    }

    fn storable(self) -> Self {
        let text = |text: String| text.replace('\0', "\u{fffd}");
        Self {
            id: self.id.map(text),
            channel: self.channel.map(text),
            thread: self.thread.map(text),
            text: text(self.text),
            user: self.user.map(|user| ChatUser { id: user.id.map(text), name: user.name.map(text) }),
            station: self.station.map(text),
            ..self
        }
    }
}

/// Refuses a text that is too long for what its field names.
pub(super) fn at_most(field: &'static str, text: &str, chars_max: usize) -> Result<(), Error> {
    match text.chars().count() {
        count if count > chars_max => {
            Err(Error::invalid(field, format!("{count} characters, at most {chars_max} are allowed")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: ChatMessage) -> Option<&'static str> {
        match message.checked() {
            Err(Error::Invalid { field, .. }) => Some(field),
            _ => None,
        }
    }

    #[test]
    fn a_field_that_is_too_long_for_what_it_names_is_refused_by_its_name() {
        let of = |count: usize| Some("ü".repeat(count));
        let user = |id, name| Some(ChatUser { id, name });
        let cases = |more: usize| {
            [
                ("id", ChatMessage { id: of(255 + more), ..ChatMessage::default() }),
                ("channel", ChatMessage { channel: of(128 + more), ..ChatMessage::default() }),
                ("thread", ChatMessage { thread: of(128 + more), ..ChatMessage::default() }),
                ("user", ChatMessage { user: user(of(255 + more), None), ..ChatMessage::default() }),
                ("user", ChatMessage { user: user(None, of(255 + more)), ..ChatMessage::default() }),
            ]
        };
        for (field, message) in cases(1) {
            assert_eq!(refused(message), Some(field));
        }
        assert!(cases(0).into_iter().all(|(_, message)| refused(message).is_none()));
    }
}
