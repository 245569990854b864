//! The settings of `vtoc-api`, each an option and a variable. Secrets are never printed, neither by `--help` nor by
//! an error.

use std::path::PathBuf;

use api::{
    Config, Limits, Webhooks,
    config::{self, ConfigError, WebhookSettings},
};
use clap::{Parser, builder::FalseyValueParser};

/// Takes in webhooks and requests, verifies them, and writes durable jobs to Postgres.
#[derive(Parser)]
#[command(name = "vtoc-api", version)]
pub(crate) struct Arguments {
    /// Address to listen on
    #[arg(long, env = "VTOC_BIND", default_value = "127.0.0.1:8080")]
    pub(crate) bind: String,

    /// The application's login (postgres://…)
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: String,

    /// Database connections at most
    #[arg(long, env = "VTOC_API_DATABASE_CONNECTIONS_MAX", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) database_connections_max: u32,

    /// The database is behind a transaction pooler: leave nothing in its sessions
    #[arg(long, env = "VTOC_POLL_ONLY", value_parser = FalseyValueParser::new())]
    pub(crate) poll_only: bool,

    /// Open client connections at most; more wait to be accepted
    #[arg(long, env = "VTOC_CONNECTIONS_MAX", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections_max: u32,

    /// Fleet-wide token with every scope, at least 32 characters, put into the database at start
    #[arg(long, env = "VTOC_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: Option<String>,

    /// Secret that chat webhooks are signed with
    #[arg(long, env = "CHATKIT_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,

    /// The secret before it, still accepted until it expires
    #[arg(long, env = "CHATKIT_WEBHOOK_SECRET_PREVIOUS", hide_env_values = true)]
    webhook_secret_previous: Option<String>,

    /// When the previous secret expires (RFC 3339)
    #[arg(long, env = "CHATKIT_WEBHOOK_SECRET_PREVIOUS_EXPIRES_AT")]
    webhook_secret_previous_expires_at: Option<String>,

    /// 1: accept unsigned webhooks when no secret is set, with a warning each minute
    #[arg(long, env = "VTOC_INSECURE_NO_WEBHOOK_SIGNATURE")]
    insecure_no_webhook_signature: Option<String>,

    /// Bearer of the built-in chat; without it the built-in chat lets nobody in
    #[arg(long, env = "CHATKIT_API_KEY", hide_env_values = true)]
    chat_key: Option<String>,

    /// Folder with agentkit.yml and agents.yml; without it, those that are shipped
    #[arg(long, env = "VTOC_CONFIG_DIR")]
    pub(crate) config_dir: Option<PathBuf>,

    /// The station that messages go to when nothing names one
    #[arg(long, env = "STATION_CALLSIGN")]
    station_callsign: Option<String>,
}

impl Arguments {
    /// What the library is told.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let settings = WebhookSettings {
            secret: self.webhook_secret.clone(),
            previous: self.webhook_secret_previous.clone(),
            previous_expires_at: self.webhook_secret_previous_expires_at.clone(),
            insecure: self.insecure_no_webhook_signature.clone(),
        };
        Ok(Config {
            webhooks: Webhooks::from_settings(&settings)?,
            admin_token: config::admin_token(self.admin_token.as_deref())?,
            chat_key: config::filled(self.chat_key.as_deref()).map(str::to_owned),
            limits: Limits { connections_max: self.connections_max as usize, ..Limits::default() },
        })
    }

    /// The slug of the installation's own station, if it has one.
    pub(crate) fn default_station(&self) -> Option<String> {
        let callsign = config::filled(self.station_callsign.as_deref())?;
        Some(callsign.trim().to_lowercase().replace(['_', ' '], "-"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(arguments: &[&str]) -> Arguments {
        Arguments::parse_from(["vtoc-api", "--database-url", "postgres://x/y"].iter().chain(arguments))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_callsign_names_the_station_by_its_slug() {
        assert_eq!(parse(&["--station-callsign", " TOC_S1 "]).default_station().as_deref(), Some("toc-s1"));
        assert_eq!(parse(&["--station-callsign", " "]).default_station(), None);
    }

    #[test]
    fn help_shows_which_secrets_there_are_but_not_their_values() {
        for argument in Arguments::command().get_arguments() {
            let name = argument.get_id().as_str();
            let secret = ["secret", "token", "key", "url"].iter().any(|word| name.contains(word))
                && !name.ends_with("expires_at");
            assert_eq!(argument.is_hide_env_values_set(), secret, "{name}");
        }
    }
}
