//! Messages as people type them.

use super::*;

const CATALOGUE: &str = r#"
version: 1
playbooks:
  - name: air
    description: the air picture
    roles: [ops]
    triggers: { chat: [merge tracks, air picture] }
    parameters:
      window: { type: duration, description: how far back, default: 30m }
      note: { type: text, description: what to add }
    steps: [{ id: say, use: compose, with: { template: x } }]
    reply: done
  - name: air_long
    description: the long air picture
    roles: [ops]
    triggers: { chat: [full air picture] }
    steps: [{ id: say, use: compose, with: { template: x } }]
    reply: done
"#;

fn command(text: &str) -> Option<Command> {
    parse(text, &Catalogue::parse(CATALOGUE).unwrap(), Role::Ops)
}

fn run_of(playbook: &str, pairs: &[(&str, &str)]) -> Option<Command> {
    let given = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Some(Command::Run { playbook: playbook.into(), given })
}

#[test]
fn a_text_that_does_not_address_the_agent_is_nobodys_command() {
    for text in ["", "help", "agent help", "mail me@agent.org", "@agents help", "x@agent help"] {
        assert_eq!(command(text), None, "{text:?}");
    }
}

#[test]
fn help_and_status_are_single_words() {
    for text in ["@agent help", "@agent", "  @AGENT: Help ", "please @agent, help"] {
        assert_eq!(command(text), Some(Command::Help), "{text:?}");
    }
    assert_eq!(command("@agent status"), Some(Command::Status));
}

#[test]
fn run_takes_pairs_and_quoted_values() {
    assert_eq!(command("@agent run air"), run_of("air", &[]));
    let expected = run_of("air", &[("note", "two words = more"), ("window", "10m")]);
    assert_eq!(command("@agent run air window=10m note=\"two words = more\""), expected);
    assert_eq!(command("@agent run air Window=10m “note=two words = more”"), expected);
    assert_eq!(command(r#"@agent run air note="say \"go\"""#), run_of("air", &[("note", "say \"go\"")]));
    assert_eq!(command("@agent run air note="), run_of("air", &[("note", "")]));
    assert_eq!(command("@agent run nowhere"), run_of("nowhere", &[]));
}

#[test]
fn what_cannot_be_taken_as_written_says_why() {
    let why = |text: &str| match command(text) {
        Some(Command::Unclear { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why("@agent run air note=\"open"), "a quote is not closed");
    assert_eq!(why("@agent run air 10m"), "\"10m\" is not key=value");
    assert_eq!(why("@agent run air note=1 note=2"), "note is given twice");
    assert!(why("@agent run").contains("which playbook"));
}

#[test]
fn a_phrase_anywhere_runs_its_playbook_and_the_longest_wins() {
    assert_eq!(command("@agent could you merge tracks, please?"), run_of("air", &[]));
    assert_eq!(command("@agent Air Picture! window=5m"), run_of("air", &[("window", "5m")]));
    assert_eq!(command("@agent give me the full air picture"), run_of("air_long", &[]));
    assert_eq!(command("@agent merge the tracks"), Some(Command::Unknown { said: "merge the tracks".into() }));
    let other_role = parse("@agent merge tracks", &Catalogue::parse(CATALOGUE).unwrap(), Role::Intel);
    assert_eq!(other_role, Some(Command::Unknown { said: "merge tracks".into() }));
}

#[test]
fn help_lists_what_the_station_can_run() {
    let catalogue = Catalogue::parse(CATALOGUE).unwrap();
    insta::assert_snapshot!(help_text(&catalogue, Role::Ops), @r"
    This ops station can run:
    - `air`: the air picture
        note: what to add (required)
        window: how far back (default 30m)
        or say “merge tracks”, “air picture”
    - `air_long`: the long air picture
        or say “full air picture”
    Say `@agent run <playbook> key=value`, `@agent status` or `@agent help`.
    ");
    insta::assert_snapshot!(help_text(&catalogue, Role::Logistics), @r"
    This logistics station can run:
    nothing; no playbook names its role.
    Say `@agent run <playbook> key=value`, `@agent status` or `@agent help`.
    ");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(@agent |@AGENT:)?\\PC{0,80}") {
        command(&text);
    }
}
