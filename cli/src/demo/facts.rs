//! What can be told of a message on its way, from what the doors answered: pure, so that every turn can be tried.

use serde_json::Value;

const SUMMARY_CHARS: usize = 160;

/// What the doors showed at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Sight {
    /// The job of the message.
    pub(super) job: Value,
    /// Every job, newest first.
    pub(super) jobs: Vec<Value>,
    /// The job's run with its steps, once there is one.
    pub(super) run: Option<Value>,
    /// Audits of the job.
    pub(super) audits: Vec<Value>,
    /// Messages of the channel, newest first.
    pub(super) messages: Vec<Value>,
}

impl Sight {
    /// What isn't reached yet; nothing when the story is over.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let has_succeeded = |value: &Value| value["status"] == "succeeded";
        let reached = [
            ("the job done", self.job["state"] == "done"),
            ("the run succeeded", self.run.as_ref().is_some_and(has_succeeded)),
            ("the audit succeeded", self.audits.iter().any(has_succeeded)),
            ("a message in the channel", !self.messages.is_empty()),
        ];
        reached.into_iter().filter(|(_, is_reached)| !is_reached).map(|(what, _)| what).collect()
    }

    /// The text of the newest message.
    pub(super) fn newest_message(&self) -> Option<&str> {
        self.messages.first()?["text"].as_str()
    }
}

/// Everything that is seen, oldest first, each fact always in the same words.
pub(super) fn facts(sight: &Sight) -> Vec<String> {
    let mut facts: Vec<String> = sight.jobs.iter().rev().map(job_fact).collect();
    if let Some(run) = &sight.run {
        facts.push(format!("run of {}: {}", word(run, "playbook"), word(run, "status")));
        let steps = run["steps"].as_array().into_iter().flatten();
        facts.extend(
            steps.map(|step| {
                format!("step {} {}: {}", word(step, "step"), word(step, "status"), summary(&step["result"]))
            }),
        );
    }
    facts.extend(
        sight
            .messages
            .iter()
            .rev()
            .map(|message| format!("message {} stands in #{}", word(message, "id"), word(message, "channel"))),
    );
    facts.extend(
        sight.audits.iter().map(|audit| format!("audit of {}: {}", word(audit, "tool_name"), word(audit, "status"))),
    );
    facts
}

/// Why there is no point in waiting any longer.
pub(super) fn trouble(sight: &Sight) -> Option<String> {
    if let Some(run) = sight.run.as_ref().filter(|run| run["status"] == "failed") {
        return Some(format!("the run failed: {}", run["error"]));
    }
    let has_ended_badly = |job: &&Value| matches!(job["state"].as_str(), Some("dead" | "cancelled"));
    let job = std::iter::once(&sight.job).chain(&sight.jobs).find(has_ended_badly)?;
    Some(format!("the {} job {} is {}: {}", word(job, "kind"), word(job, "id"), word(job, "state"), job["error"]))
}

fn job_fact(job: &Value) -> String {
    let state = format!("{} job {}", word(job, "kind"), word(job, "state"));
    let worker = job["worker"].as_str().map(|worker| format!(" (worker {worker}, attempt {})", job["attempt"]));
    let error = job["error"].as_str().map(|error| format!("; last attempt: {}", short(error)));
    [Some(state), worker, error].into_iter().flatten().collect()
}

/// The fields of a result that fit a line: plain ones with their values, lists with their lengths.
fn summary(result: &Value) -> String {
    let Some(fields) = result.as_object() else { return short(&result.to_string()) };
    let line: Vec<String> = fields
        .iter()
        .filter_map(|(name, value)| match value {
            Value::Array(list) => Some(format!("{name}: {} entries", list.len())),
            Value::Object(inner) if inner.values().all(|value| value.is_number()) => Some(format!("{name}: {value}")),
            Value::Object(_) | Value::Null => None,
            Value::String(text) => Some(format!("{name}: {}", text.lines().next().unwrap_or_default())),
            plain => Some(format!("{name}: {plain}")),
        })
        .collect();
    short(&line.join(", "))
}

fn short(line: &str) -> String {
    match line.char_indices().nth(SUMMARY_CHARS) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line.to_owned(),
    }
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn over() -> Sight {
        Sight {
            job: json!({"id": "1", "kind": "run_playbook", "state": "done"}),
            jobs: vec![json!({"id": "1", "kind": "run_playbook", "state": "done", "worker": "host/7", "attempt": 1})],
            run: Some(
                json!({"playbook": "p", "status": "succeeded", "steps": [{"step": "collect", "status": "done", "result": {"stored": 3, "by": {"a": 1}}}]}),
            ),
            audits: vec![json!({"tool_name": "p", "status": "succeeded"})],
            messages: vec![json!({"id": "m", "channel": "c", "text": "done"})],
        }
    }

    #[test]
    fn the_story_is_over_when_everything_is_reached() {
        assert_eq!(over().missing(), Vec::<&str>::new());
        assert_eq!(Sight { messages: Vec::new(), ..over() }.missing(), ["a message in the channel"]);
        assert_eq!(Sight { run: None, ..over() }.missing(), ["the run succeeded"]);
    }

    #[test]
    fn facts_name_worker_steps_and_results() {
        insta::assert_debug_snapshot!(facts(&over()), @r#"
        [
            "run_playbook job done (worker host/7, attempt 1)",
            "run of p: succeeded",
            "step collect done: by: {\"a\":1}, stored: 3",
            "message m stands in #c",
            "audit of p: succeeded",
        ]
        "#);
    }

    #[test]
    fn a_dead_follow_up_job_is_trouble() {
        let dead = json!({"id": "2", "kind": "post_chat", "state": "dead", "error": "refused"});
        let sight = Sight { jobs: vec![dead], ..over() };
        assert_eq!(trouble(&sight).unwrap(), "the post_chat job 2 is dead: \"refused\"");
        assert_eq!(trouble(&over()), None);
    }

    #[test]
    fn long_results_are_cut_between_characters() {
        let cut = short(&"ä".repeat(SUMMARY_CHARS + 1));
        assert_eq!(cut.chars().count(), SUMMARY_CHARS + 2);
    }
}
