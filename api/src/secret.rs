//! Webhook secrets: the key bytes that each scheme derives from one configured text, and until when it counts.
//! Checking a signature is `signature`; where the texts come from is `config`.

use std::fmt;

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, Utc};

/// Secrets are handed out with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text can't be a webhook secret. Never shows the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecret {
    /// Nothing, or nothing after `whsec_`.
    #[error("a webhook secret is empty")]
    Empty,
    /// `whsec_` promises base64.
    #[error("a webhook secret that begins with whsec_ must go on in base64")]
    NotBase64,
}

/// One shared secret of a webhook sender.
#[derive(Clone)]
pub struct Secret {
    text: Vec<u8>,
    standard: Vec<u8>,
    expires_at: Option<DateTime<Utc>>,
}

impl Secret {
    /// A secret that doesn't expire. `whsec_…` is base64 to Standard Webhooks; anything else is its UTF-8 bytes.
    ///
    /// # Errors
    /// [`BadSecret`] when no key can be made of the text.
    pub fn new(text: &str) -> Result<Self, BadSecret> {
        let standard = match text.strip_prefix("whsec_") {
            Some(encoded) => BASE64.decode(encoded).map_err(|_| BadSecret::NotBase64)?,
            None => text.as_bytes().to_vec(),
        };
        if standard.is_empty() {
            return Err(BadSecret::Empty);
        }
        Ok(Self { text: text.as_bytes().to_vec(), standard, expires_at: None })
    }

    /// The same secret, accepted until then and not at that moment any more.
    #[must_use]
    pub fn until(self, expires_at: DateTime<Utc>) -> Self {
        Self { expires_at: Some(expires_at), ..self }
    }

    /// Whether the secret still counts.
    pub(crate) fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// The key of `X-ChatKit-Signature`: the text as it was configured.
    pub(crate) fn chatkit_key(&self) -> &[u8] {
        &self.text
    }

    /// The key of Standard Webhooks.
    pub(crate) fn standard_key(&self) -> &[u8] {
        &self.standard
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefixed_secret_is_base64_to_one_scheme_and_text_to_the_other() {
        let secret = Secret::new("whsec_AAEC").unwrap();
        assert_eq!(secret.standard_key(), [0, 1, 2]);
        assert_eq!(secret.chatkit_key(), b"whsec_AAEC");
        assert_eq!(Secret::new("plain").unwrap().standard_key(), b"plain");
    }

    #[test]
    fn padding_of_a_secret_is_optional() {
        assert_eq!(Secret::new("whsec_AA==").unwrap().standard_key(), Secret::new("whsec_AA").unwrap().standard_key());
    }

    #[test]
    fn secrets_that_make_no_key_are_refused() {
        assert_eq!(Secret::new("").err(), Some(BadSecret::Empty));
        assert_eq!(Secret::new("whsec_").err(), Some(BadSecret::Empty));
        assert_eq!(Secret::new("whsec_not base64").err(), Some(BadSecret::NotBase64));
    }

    #[test]
    fn debug_output_does_not_show_the_secret() {
        assert!(!format!("{:?}", Secret::new("hunter2").unwrap()).contains("hunter2"));
    }
}
