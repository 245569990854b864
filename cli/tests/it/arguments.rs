//! What the program makes of its arguments before it does anything.

use crate::place::{Place, error_output, vtoc};

#[test]
fn a_wrong_argument_is_misuse_and_exits_2() {
    let misuses: [&[&str]; 10] = [
        &[],
        &["fly"],
        &["up", "--port", "high"],
        &["up", "--workers", "0"],
        &["postgres", "run"],
        &["token", "create", "--name", "ci"],
        &["token", "create", "--name", "ci", "--scope", "everything"],
        &["schedule", "create", "s", "1h", "--kind", "post_chat", "--payload", "{"],
        &["schedule", "create", "s", "1h", "--kind", "post_chat", "--missed", "some"],
        &["schedule", "edit", "s", "--jitter", "25h"],
    ];
    for misuse in misuses {
        let output = vtoc().args(misuse).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{misuse:?}: {}", error_output(&output));
        assert!(output.stdout.is_empty(), "{misuse:?}");
    }
}

#[test]
fn a_command_without_a_database_fails_with_what_to_set() {
    let output = vtoc().arg("migrate").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error_output(&output).contains("set DATABASE_URL_OWNER"), "{}", error_output(&output));

    let place = Place::new();
    let output = vtoc().args(["token", "list", "--data"]).arg(place.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error_output(&output).contains("set DATABASE_URL, or start `vtoc up`"), "{}", error_output(&output));
}

#[test]
fn the_version_is_the_packages() {
    let output = vtoc().arg("--version").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), format!("vtoc {}", env!("CARGO_PKG_VERSION")));
}
