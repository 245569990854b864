//! `vtoc postgres run`: a server as long as a command.

use std::fs;
use std::path::Path;

use crate::place::{Place, error_output, vtoc};

#[test]
fn the_command_finds_a_server_that_is_gone_afterwards() {
    let place = Place::new();
    let script = r#"
        test "$("$VTOC_POSTGRES_BIN/psql" -At "$VTOC_TEST_DATABASE_URL" -c 'show fsync; show max_connections' | tr '\n' ' ')" = "on 300 " || exit 99
        test -f "$VTOC_TEST_POSTGRES_DATA/PG_VERSION" || exit 98
        printf '%s' "$VTOC_TEST_POSTGRES_DATA"
        exit 7"#;
    let output =
        vtoc().args(["postgres", "run", "--", "sh", "-c", script]).env("TMPDIR", place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{}", error_output(&output));
    let data = String::from_utf8(output.stdout).unwrap();
    assert!(data.ends_with("/postgres") && !Path::new(&data).exists(), "{data}");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn durability_is_given_up_only_on_request() {
    let place = Place::new();
    let script = r#""$VTOC_POSTGRES_BIN/psql" -At "$VTOC_TEST_DATABASE_URL" -c 'show fsync'"#;
    let output = vtoc()
        .args(["postgres", "run", "--fast-unsafe", "--", "sh", "-c", script])
        .env("TMPDIR", place.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "off\n", "{}", error_output(&output));
}

#[test]
fn a_command_that_cannot_be_run_is_named_and_leaves_nothing() {
    let place = Place::new();
    let output =
        vtoc().args(["postgres", "run", "--", "/no/such/command"]).env("TMPDIR", place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error_output(&output).contains("run /no/such/command"), "{}", error_output(&output));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let place = Place::new();
    let script = r#"kill -9 "$PPID""#;
    let killed =
        vtoc().args(["postgres", "run", "--", "sh", "-c", script]).env("TMPDIR", place.path()).output().unwrap();
    assert_eq!(killed.status.code(), None);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);

    let next = vtoc().args(["postgres", "run", "--", "true"]).env("TMPDIR", place.path()).output().unwrap();
    assert_eq!(next.status.code(), Some(0), "{}", error_output(&next));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
}
