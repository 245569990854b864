//! What the front door is told at its start: secrets and limits, checked. Reading them from the environment is the
//! binary's part (`main`), so that other programs and tests can serve in process.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::secret::{BadSecret, Secret};

/// An admin token shorter than this is guessable.
const ADMIN_TOKEN_CHARS_MIN: usize = 32;

/// Everything `serve` is told besides the database. Holds secrets: it has no `Debug`.
#[derive(Clone)]
pub struct Config {
    /// Whose webhooks are believed.
    pub webhooks: Webhooks,
    /// A fleet-wide token with every scope, put into the database at start.
    pub admin_token: Option<String>,
    /// The bearer of the built-in chat; without one it lets nobody in.
    pub chat_key: Option<String>,
    /// How much of everything.
    pub limits: Limits,
}

/// Whose webhooks are believed.
#[derive(Debug, Clone)]
pub enum Webhooks {
    /// Those signed with one of these.
    Signed(Vec<Secret>),
    /// Everybody's: for a machine nobody else can reach, with a warning each minute.
    Unsigned,
}

/// The limits of the front door.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections at most; beyond it new ones wait in the kernel's queue.
    pub connections_max: usize,
    /// Header fields of one request at most.
    pub headers_max: usize,
    /// How long a request's head may take, and how long an idle connection is kept.
    pub header_deadline: Duration,
    /// How long a request's body may take.
    pub body_deadline: Duration,
    /// How long an answer may wait for its reader to take the next byte.
    pub write_deadline: Duration,
    /// Bytes of a webhook's body, and of a chat message.
    pub webhook_bytes_max: usize,
    /// How long requests under way may take to finish after the shutdown began.
    pub drain_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4096,
            headers_max: 64,
            header_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(10),
            write_deadline: Duration::from_secs(10),
            webhook_bytes_max: 256 * 1024,
            drain_deadline: Duration::from_secs(20),
        }
    }
}

/// Why the front door refuses to start. Never shows a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Unsigned webhooks must be asked for.
    #[error(
        "CHATKIT_WEBHOOK_SECRET is not set: set it, or VTOC_INSECURE_NO_WEBHOOK_SIGNATURE=1 to accept unsigned webhooks"
    )]
    NoWebhookSecret,
    /// A secret that makes no key.
    #[error("{variable}: {reason}")]
    BadSecret {
        /// Which variable holds it.
        variable: &'static str,
        /// What is wrong with it.
        reason: BadSecret,
    },
    /// A previous secret that would be accepted for ever.
    #[error("CHATKIT_WEBHOOK_SECRET_PREVIOUS needs CHATKIT_WEBHOOK_SECRET_PREVIOUS_EXPIRES_AT, an RFC 3339 time")]
    PreviousWithoutExpiry,
    /// A guessable admin token.
    #[error("VTOC_ADMIN_TOKEN must have at least {ADMIN_TOKEN_CHARS_MIN} characters")]
    ShortAdminToken,
}

/// The webhook variables as they were set; a blank one counts as not set.
#[derive(Clone, Default)]
pub struct WebhookSettings {
    /// `CHATKIT_WEBHOOK_SECRET`.
    pub secret: Option<String>,
    /// `CHATKIT_WEBHOOK_SECRET_PREVIOUS`.
    pub previous: Option<String>,
    /// `CHATKIT_WEBHOOK_SECRET_PREVIOUS_EXPIRES_AT`.
    pub previous_expires_at: Option<String>,
    /// `VTOC_INSECURE_NO_WEBHOOK_SIGNATURE`; only `1` means yes.
    pub insecure: Option<String>,
}

impl Webhooks {
    /// Decides whose webhooks are believed. A secret wins over the insecure flag.
    ///
    /// # Errors
    /// [`ConfigError`], naming the variable to set.
    pub fn from_settings(settings: &WebhookSettings) -> Result<Self, ConfigError> {
        let Some(current) = filled(settings.secret.as_deref()) else {
            let insecure = settings.insecure.as_deref() == Some("1");
            return if insecure { Ok(Self::Unsigned) } else { Err(ConfigError::NoWebhookSecret) };
        };
        let mut secrets = vec![secret("CHATKIT_WEBHOOK_SECRET", current)?];
        if let Some(previous) = filled(settings.previous.as_deref()) {
            let expires_at = filled(settings.previous_expires_at.as_deref())
                .and_then(time)
                .ok_or(ConfigError::PreviousWithoutExpiry)?;
            secrets.push(secret("CHATKIT_WEBHOOK_SECRET_PREVIOUS", previous)?.until(expires_at));
        }
        Ok(Self::Signed(secrets))
    }
}

/// An admin token that is set and long enough; a blank one counts as not set.
///
/// # Errors
/// [`ConfigError::ShortAdminToken`].
pub fn admin_token(text: Option<&str>) -> Result<Option<String>, ConfigError> {
    match filled(text) {
        Some(token) if token.chars().count() < ADMIN_TOKEN_CHARS_MIN => Err(ConfigError::ShortAdminToken),
        token => Ok(token.map(str::to_owned)),
    }
}

/// A variable set to nothing says as little as one that isn't set.
pub fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.trim().is_empty())
}

fn secret(variable: &'static str, text: &str) -> Result<Secret, ConfigError> {
    Secret::new(text).map_err(|reason| ConfigError::BadSecret { variable, reason })
}

fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(secret: &str, insecure: &str) -> WebhookSettings {
        WebhookSettings {
            secret: Some(secret.to_owned()),
            insecure: Some(insecure.to_owned()),
            ..WebhookSettings::default()
        }
    }

    #[test]
    fn without_a_secret_only_an_explicit_1_lets_unsigned_webhooks_in() {
        for insecure in ["", "0", "true", "yes"] {
            assert_eq!(
                Webhooks::from_settings(&settings(" ", insecure)).err(),
                Some(ConfigError::NoWebhookSecret),
                "{insecure}"
            );
        }
        assert!(matches!(Webhooks::from_settings(&settings("", "1")), Ok(Webhooks::Unsigned)));
    }

    #[test]
    fn a_secret_wins_over_the_insecure_flag() {
        assert!(
            matches!(Webhooks::from_settings(&settings("s3cret", "1")), Ok(Webhooks::Signed(secrets)) if secrets.len() == 1)
        );
    }

    #[test]
    fn a_previous_secret_needs_an_expiry_that_is_a_time() {
        let mut settings = settings("new", "");
        settings.previous = Some("old".to_owned());
        assert_eq!(Webhooks::from_settings(&settings).err(), Some(ConfigError::PreviousWithoutExpiry));
        settings.previous_expires_at = Some("tomorrow".to_owned());
        assert_eq!(Webhooks::from_settings(&settings).err(), Some(ConfigError::PreviousWithoutExpiry));
        settings.previous_expires_at = Some("2030-01-01T00:00:00+02:00".to_owned());
        assert!(matches!(Webhooks::from_settings(&settings), Ok(Webhooks::Signed(secrets)) if secrets.len() == 2));
    }

    #[test]
    fn a_short_admin_token_is_refused_and_a_blank_one_is_none() {
        assert_eq!(admin_token(Some("short")), Err(ConfigError::ShortAdminToken));
        assert_eq!(admin_token(Some("  ")), Ok(None));
        assert!(admin_token(Some(&"x".repeat(32))).unwrap().is_some());
    }
}
