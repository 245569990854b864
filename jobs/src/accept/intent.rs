//! What a chat message asks for: a playbook run, an answer, or nothing.

use agents::{
    commands::{self, Command, help_text},
    playbooks::{Catalogue, parameters},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::ChatMessage;
use crate::{
    Error, Tx,
    kinds::{new_job, post_chat::PostChat, run_playbook::RunPlaybook},
    queue::NewJob,
    stations::{self, Station},
};

/// Event types that carry what somebody said.
const MESSAGE_TYPES: [&str; 3] = ["message", "message.created", "chat.message"];
/// Names the agent itself posts under.
const OWN_NAMES: [&str; 3] = ["agent", "@agent", "vtoc-agent"];

/// Characters of a message that an answer repeats.
const ECHO_CHARS_MAX: usize = 200;

/// Whether events of this type carry what somebody said; others have nothing to do here, whatever they hold.
#[must_use]
pub fn carries_text(event_type: &str) -> bool {
    MESSAGE_TYPES.contains(&event_type)
}

/// What a message asks for.
pub(super) enum Intent {
    /// A job.
    Work(Box<Work>),
    /// Nothing, with the reason.
    Ignore(String),
}

/// The job, and the action it is when it is one.
pub(super) struct Work {
    pub(super) job: NewJob,
    pub(super) action: Option<Action>,
}

/// What the audit says.
pub(super) struct Action {
    pub(super) audit_id: Uuid,
    pub(super) tool_name: String,
    pub(super) input: Value,
    pub(super) channel: Option<String>,
    pub(super) initiator: Option<String>,
}

pub(super) async fn of(
    tx: &mut Tx,
    catalogue: &Catalogue,
    station: Option<&Station>,
    message: &ChatMessage,
) -> Result<Intent, Error> {
    let ignore = |reason: &str| Ok(Intent::Ignore(reason.to_owned()));
    if let Some(r#type) = &message.r#type
        && !carries_text(r#type)
    {
        return ignore("events of this type have nothing to do here");
    }
    let user = message.user.as_ref();
    if user.is_some_and(|user| {
        [&user.id, &user.name].into_iter().flatten().any(|name| OWN_NAMES.contains(&name.to_lowercase().as_str()))
    }) {
        return ignore("the agent's own messages are not commands");
    }
    let Some(station) = station else {
        return ignore("no station: name one in the body, post to a station's channel, or configure a default station");
    };
    if is_anothers(tx, station, message.channel.as_deref()).await? {
        return ignore("the channel belongs to another station than the one named");
    }
    let asked = Asked { catalogue, station, message };
    Ok(match commands::parse(&message.text, catalogue, station.role) {
        None => Intent::Ignore("the message doesn't address @agent".to_owned()),
        Some(Command::Run { playbook, given }) => asked.run(&playbook, &given)?,
        Some(Command::Help) => asked.reply(help_text(catalogue, station.role))?,
        Some(Command::Status) => asked.reply(status(tx, station).await?)?,
        Some(Command::Unclear { said, why }) => {
            asked.list(&format!("I can't take {:?}: {}.", cut(&said), cut(&why)))?
        }
        Some(Command::Unknown { said }) => asked.list(&format!("I don't know what {:?} means.", cut(&said)))?,
    })
}

/// Whether another station's posts go to this channel: what is answered there is for that station's people.
async fn is_anothers(tx: &mut Tx, station: &Station, channel: Option<&str>) -> Result<bool, Error> {
    match channel {
        Some(channel) if channel != station.default_channel => Ok(stations::by_channel(tx, channel).await?.is_some()),
        _ => Ok(false),
    }
}

/// One message with what is needed to answer it.
struct Asked<'a> {
    catalogue: &'a Catalogue,
    station: &'a Station,
    message: &'a ChatMessage,
}

impl Asked<'_> {
    fn run(&self, name: &str, given: &std::collections::BTreeMap<String, String>) -> Result<Intent, Error> {
        let Some(playbook) = self.catalogue.get(name).filter(|playbook| playbook.roles.contains(&self.station.role))
        else {
            return self.list(&format!("Station {} has no playbook {:?}.", self.station.slug, cut(name)));
        };
        let parameters = match parameters(playbook, given) {
            Ok(parameters) => parameters,
            Err(error) => return self.list(&format!("I can't run {name}: {}.", cut(&error.to_string()))),
        };
        let user = self.message.user.as_ref();
        let initiator = user.and_then(|user| user.id.clone().or_else(|| user.name.clone()));
        let audit_id = Uuid::now_v7();
        let run = RunPlaybook {
            playbook: playbook.name.clone(),
            parameters: parameters.clone(),
            channel: self.message.channel.clone(),
            thread: self.message.thread.clone(),
            requested_by: initiator.clone(),
            audit_id: Some(audit_id),
        };
        let action = Action {
            audit_id,
            tool_name: run.playbook.clone(),
            input: json!(parameters),
            channel: run.channel.clone(),
            initiator,
        };
        Ok(Intent::Work(Box::new(Work { job: new_job(&run, Some(self.station.id))?, action: Some(action) })))
    }

    /// An answer to what can't be done is what can.
    fn list(&self, why: &str) -> Result<Intent, Error> {
        self.reply(format!("{why}\n\n{}", help_text(self.catalogue, self.station.role)))
    }

    fn reply(&self, text: String) -> Result<Intent, Error> {
        let channel = self.message.channel.clone().unwrap_or_else(|| self.station.default_channel.clone());
        let post = PostChat { channel, thread: self.message.thread.clone(), text, audit_id: None };
        Ok(Intent::Work(Box::new(Work { job: new_job(&post, Some(self.station.id))?, action: None })))
    }
}

/// The beginning of what is repeated to its sender.
fn cut(said: &str) -> String {
    match said.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}

/// How the station is doing, from counts that stop at a thousand.
async fn status(tx: &mut Tx, station: &Station) -> Result<String, Error> {
    let row = sqlx::query!(
        r#"select
            (select count(*) from (select from vtoc.job_ready where station_id = $1 limit 1000) r) as "ready!",
            -- The view joined on a column would be read as a whole.
            (select count(*) from (
                select
                from vtoc.job_running r
                cross join lateral (select station_id from vtoc.job where id = r.id limit 1) j
                where j.station_id = $1
                limit 1000
            ) r) as "running!",
            (select count(*) from (select from vtoc.job_finished where state = 'dead' and station_id = $1 and finished_at > (select vtoc.clock()) - interval '1 day' limit 1000) r) as "dead!""#,
        station.id.0
    )
    .fetch_one(&mut **tx)
    .await?;
    let workers = crate::workers::live(tx).await?;
    Ok(format!(
        "{}: {} jobs waiting, {} running, {} dead within a day; {workers} workers.",
        station.callsign, row.ready, row.running, row.dead
    ))
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn what_is_repeated_is_200_characters_at_most_and_says_that_there_was_more() {
        assert_eq!(cut("fly to the moon"), "fly to the moon");
        assert_eq!(cut(&"ü".repeat(200)), "ü".repeat(200));
        assert_eq!(cut(&"ü".repeat(201)), format!("{}…", "ü".repeat(200)));
    }
}
