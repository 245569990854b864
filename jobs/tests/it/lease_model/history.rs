//! What one side did, in the words of the laws: from the calls, what that side answered, and what was seen of it before and
//! after. Sweeps, ends and effects are read off what is seen, since nobody answers for them.

use jobs::{
    JobId,
    laws::{Came as Result, Record, Sight},
};
use uuid::Uuid;

use super::call::{Answer, Call, Came, Heard, Job, Seen, Token};

/// The records of one call.
pub(crate) fn records(call: &Call, answer: &Answer, before: &Seen, after: &Seen) -> Vec<Record> {
    let mut records = told(call, answer, before, after);
    for ((number, at), (_, outcome)) in &after.attempts {
        let (job, token) = (id(*number), token_of(*at));
        let was = before.attempts.get(&(*number, *at)).map(|(_, outcome)| outcome.as_ref());
        if let (Call::Sweep { blame }, None) = (call, was) {
            records.push(Record::Swept { job, token, blamed: *blame && outcome == "crashed" });
        }
        if was == Some("crashed") && outcome != "crashed" {
            records.push(Record::Cleared { job, token });
        }
    }
    for (number, standing) in &after.jobs {
        let was_terminal = before.jobs.get(number).is_some_and(|job| job.place.is_terminal());
        if standing.place.is_terminal() && !was_terminal {
            records.push(Record::Ended { job: id(*number) });
        }
    }
    records
}

/// What the caller could have written down alone, but for the effects, which are counted in the ledger.
fn told(call: &Call, answer: &Answer, before: &Seen, after: &Seen) -> Vec<Record> {
    match (call, answer) {
        (Call::Enqueue { delivery, heard }, answer) => {
            let name = delivery.number.to_string();
            let made = after.jobs.keys().filter(|job| !before.jobs.contains_key(job)).map(|job| Record::Enqueued {
                job: id(*job),
                delivery: Some(name.clone()),
                attempts_max: delivery.attempts_max,
            });
            let sight = match (heard, answer) {
                (Heard::Answer, Answer::Enqueued { job, .. }) => Sight::Accepted(id(*job)),
                (Heard::Nothing, _) => Sight::Unanswered,
                _ => Sight::Unavailable,
            };
            made.chain([Record::Sent { delivery: name.clone(), sight }]).collect()
        }
        (_, Answer::Claimed { token, attempts }) => attempts
            .iter()
            .map(|(job, attempt)| Record::Claimed { job: id(*job), token: token_of(*token), attempt: *attempt })
            .collect(),
        (Call::Finish { results }, Answer::Written(written)) => results
            .iter()
            .map(|(job, token, came)| {
                let (number, is_written, token) = (*job, written.contains(&(*job, *token)), token_of(*token));
                match is_written {
                    true => Record::Finished { job: id(number), token, came: meaning(*came, after, number) },
                    false => Record::Refused { job: id(number), token },
                }
            })
            .collect(),
        (Call::Overrule { job, token }, _) => {
            // Nobody answers; the attempt's own line says whether it was written.
            let written =
                !before.attempts.contains_key(&(*job, *token)) && after.attempts.contains_key(&(*job, *token));
            let (number, job, token) = (*job, id(*job), token_of(*token));
            match written {
                true => vec![Record::Finished { job, token, came: meaning(Came::TimedOut, after, number) }],
                false => vec![Record::Refused { job, token }],
            }
        }
        (Call::Lock { job, token, .. }, Answer::Stale) => {
            vec![Record::Refused { job: id(*job), token: token_of(*token) }]
        }
        (Call::Commit { job, token, .. }, _) => effects(*job, *token, before, after),
        (Call::Complete { job, token, .. }, _) => {
            let finished = Record::Finished { job: id(*job), token: token_of(*token), came: Result::Ended };
            effects(*job, *token, before, after).into_iter().chain([finished]).collect()
        }
        _ => Vec::new(),
    }
}

fn effects(job: Job, token: Token, before: &Seen, after: &Seen) -> Vec<Record> {
    let count = |seen: &Seen| seen.jobs.get(&job).map_or(0, |job| job.effects);
    let effect = Record::Effect {
        job: id(job),
        name: "ledger".to_owned(),
        key: format!("{job}:ledger"),
        token: Some(token_of(token)),
        took: true,
    };
    vec![effect; count(after).saturating_sub(count(before))]
}

/// A failure of the last attempt is the job's end.
fn meaning(came: Came, after: &Seen, job: Job) -> Result {
    if after.jobs.get(&job).is_some_and(|job| job.place.is_terminal()) {
        return Result::Ended;
    }
    match came {
        Came::Done | Came::Cancel | Came::Dead => Result::Ended,
        Came::Retry | Came::RetryAsked | Came::TimedOut | Came::Panicked => Result::Burned,
        Came::Snooze | Came::Interrupted | Came::GivenUp => Result::GivenBack,
    }
}

fn id(job: Job) -> JobId {
    JobId::from(Uuid::from_u128(job as u128))
}

fn token_of(token: Token) -> i64 {
    i64::try_from(token).unwrap()
}
