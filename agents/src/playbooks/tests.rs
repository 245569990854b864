//! The catalogue's checks by their mistakes, and a run from its first step to its reply.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::*;
use crate::{
    Role,
    actions::{Action, compose},
};

const GOOD: &str = r#"
version: 1
playbooks:
  - name: greet
    description: says hello
    roles: [ops]
    triggers: { chat: [say hello] }
    parameters:
      name: { type: text, description: whom to greet, default: nobody }
      times: { type: integer, description: how often, default: 1, min: 1, max: 3 }
    steps:
      - id: say
        use: compose
        with:
          template: "hello {{ params.name }}"
        retry: { attempts: 2, wait: 1s }
        timeout: 5s
      - id: send
        use: post
        when: params.times > 1
        with:
          text: "{{ steps.say.text }}"
    reply: "said {{ steps.say.text }}"
"#;

/// A context at the beginning of a run.
pub(crate) fn context() -> Context {
    Context {
        params: serde_json::Map::new(),
        station: Station {
            slug: "toc-s1".into(),
            callsign: "TOC-S1".into(),
            role: Role::Ops,
            channel: "toc-s1".into(),
        },
        run: Run {
            id: "run-1".into(),
            started_at: "2026-11-22T08:23:11Z".parse().unwrap(),
            channel: None,
            thread: None,
            requested_by: None,
        },
        results: BTreeMap::new(),
    }
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn greet() -> Playbook {
    Catalogue::parse(GOOD).unwrap().get("greet").unwrap().clone()
}

#[test]
fn the_shipped_catalogue_is_sound() {
    let catalogue = Catalogue::parse(include_str!("../../config/agentkit.yml")).unwrap();
    let names: Vec<&str> = catalogue.for_role(Role::Ops).map(|playbook| playbook.name.as_str()).collect();
    assert!(names.contains(&"op_airtrack_merge"));
}

/// What is replaced, by what, what the message says, and what the reported line holds.
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("roles: [ops]", "rolls: [ops]", "rolls", "rolls"),
    ("use: compose", "use: shell", "unknown variant `shell`", "shell"),
    ("type: integer", "type: whole", "unknown variant `whole`", "whole"),
    ("timeout: 5s", "timeout: 5 parsecs", "5 parsecs", "timeout"),
    ("timeout: 5s", "timeout: 0s", "greet: step say: a step needs time", "timeout"),
    ("attempts: 2", "attempts: 0", "greet: step say: a step is tried at least once", "retry"),
    ("id: send", "id: say", "greet: step say: there are two steps of this id", "id: say"),
    ("template: \"hello", "tempalte: \"hello", "compose has no input \"tempalte\"; it has: template", "tempalte"),
    (
        "hello {{ params.name }}",
        "hello {{ params.nam }}",
        "params.nam is not there; params has here: name, times",
        "template",
    ),
    ("hello {{ params.name }}", "hello {{ params.name", "syntax error", "template"),
    (
        "hello {{ params.name }}",
        "{{ steps.send.id }}",
        "steps.send.id is not there; steps has here: nothing",
        "template",
    ),
    ("hello {{ params.name }}", "{{ steps }}", "steps must be followed by a name", "template"),
    ("hello {{ params.name }}", "{{ env.HOME }}", "env.HOME is not there; there are: params", "template"),
    ("when: params.times > 1", "when: params.times >", "syntax error", "when"),
    ("when: params.times > 1", "when: steps.send.x", "steps.send", "when"),
    ("said {{ steps.say.text }}", "said {{ run.nothing }}", "run.nothing is not there", "reply"),
    ("default: 1,", "default: 9,", "parameter times: default: more than 3", "times"),
    ("default: 1,", "default: one,", "parameter times: default: \"one\" is not of the type integer", "times"),
    ("name: greet", "name: Greet Them", "a name has small letters", "name"),
    ("roles: [ops]", "roles: []", "no role may run it", "roles"),
    ("version: 1", "version: 7", "version 7 is not known", "version"),
];

#[test]
fn every_mistake_is_reported_at_its_line() {
    for (from, to, message, line) in MISTAKES {
        assert!(GOOD.contains(from), "{from}");
        let yaml = GOOD.replacen(from, to, 1);
        let error = Catalogue::parse(&yaml).unwrap_err();
        assert!(error.message.contains(message), "{to}: {error}");
        let reported = yaml.lines().nth(error.line - 1).unwrap_or_default();
        assert!(reported.contains(line), "{to}: {error}: reported {reported:?}");
    }
}

#[test]
fn a_second_playbook_of_the_same_name_is_a_mistake() {
    let (head, playbook) = GOOD.split_once("playbooks:\n").unwrap();
    let error = Catalogue::parse(&format!("{head}playbooks:\n{playbook}{playbook}")).unwrap_err();
    assert!(error.message.contains("two playbooks"), "{error}");
}

#[test]
fn parameters_are_typed_and_defaulted() {
    let values = parameters(&greet(), &given(&[("times", "2")])).unwrap();
    assert_eq!(Value::Object(values), json!({"name": "nobody", "times": 2}));
}

#[test]
fn a_wrong_parameter_says_what_would_be_right() {
    let refused = |pairs: &[(&str, &str)]| parameters(&greet(), &given(pairs)).unwrap_err().to_string();
    assert_eq!(refused(&[("nmae", "x")]), "greet has no parameter \"nmae\"; it has: name, times");
    assert_eq!(refused(&[("times", "two")]), "times=two: not a whole number");
    assert_eq!(refused(&[("times", "7")]), "times=7: more than 3");
    let mut needy = greet();
    needy.parameters.get_mut("name").unwrap().default = None;
    assert_eq!(parameters(&needy, &given(&[])).unwrap_err().to_string(), "greet needs name (whom to greet)");
}

#[test]
fn a_run_goes_step_by_step_to_its_reply() {
    let playbook = greet();
    let mut context = context();
    context.params = parameters(&playbook, &given(&[("name", "the {{ floor }}"), ("times", "2")])).unwrap();

    let Next::Step { id, action, input, timeout, retry } = next(&playbook, &context).unwrap() else { panic!() };
    assert_eq!((id.as_str(), action, timeout), ("say", Action::Compose, Duration::from_secs(5)));
    assert_eq!(retry, Retry { attempts: 2, wait: Duration::from_secs(1) });
    let said = compose::compose(&input, &context).unwrap();
    assert_eq!(said.text, "hello the {{ floor }}", "a parameter is text, never a template");
    context.results.insert(id, serde_json::to_value(said).unwrap());

    let Next::Step { id, input, timeout, .. } = next(&playbook, &context).unwrap() else { panic!() };
    assert_eq!((id.as_str(), timeout), ("send", Duration::from_secs(60)));
    assert_eq!(input, json!({"text": "hello the {{ floor }}"}));
    context.results.insert(id, json!({"id": "m-1"}));

    assert_eq!(next(&playbook, &context).unwrap(), Next::Done { reply: "said hello the {{ floor }}".into() });
}

#[test]
fn a_step_whose_condition_does_not_hold_is_skipped() {
    let playbook = greet();
    let mut context = context();
    context.params = parameters(&playbook, &given(&[])).unwrap();
    context.results.insert("say".into(), json!({"text": "x"}));
    assert_eq!(next(&playbook, &context).unwrap(), Next::Skip { id: "send".into() });
    context.results.insert("send".into(), Value::Null);
    assert!(matches!(next(&playbook, &context).unwrap(), Next::Done { .. }));
}

#[test]
fn a_result_that_lacks_what_is_used_fails_by_name() {
    let playbook = greet();
    let mut context = context();
    context.params = parameters(&playbook, &given(&[])).unwrap();
    context.results = [("say".to_owned(), json!({})), ("send".to_owned(), Value::Null)].into();
    let error = next(&playbook, &context).unwrap_err();
    assert!(error.to_string().starts_with("greet: reply: "), "{error}");
}

#[test]
fn a_stored_playbook_is_the_same_playbook() {
    let playbook = greet();
    let stored = serde_json::to_string(&playbook).unwrap();
    assert_eq!(serde_json::from_str::<Playbook>(&stored).unwrap(), playbook);
}
