//! `vtoc up` as an operator has it: one folder, one fleet, the same data after every end. The api and worker programs are
//! those built beside `vtoc`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::place::{Place, error_output, vtoc};
use crate::running::Up;

fn tokens(data: &Path) -> Vec<Value> {
    let output = vtoc().args(["token", "list", "--json", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{}", error_output(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn named<'a>(tokens: &'a [Value], name: &str) -> &'a Value {
    tokens.iter().find(|token| token["name"] == name).expect("the token is listed")
}

#[test]
fn a_fleet_that_was_killed_continues_with_its_data_and_stops_in_order() {
    let place = Place::new();
    let first = Up::start(place.path());
    assert!(first.url.starts_with("http://127.0.0.1:"));

    let second = vtoc().args(["up", "--port", "0", "--data"]).arg(place.path()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let refused = error_output(&second);
    assert!(refused.contains(&format!("in use by another vtoc (process {})", first.child.id())), "{refused}");

    let made = vtoc()
        .args(["token", "create", "--name", "ci", "--station", "toc-s2", "--scope", "read", "--data"])
        .arg(place.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", error_output(&made));
    let secret = String::from_utf8(made.stdout.clone()).unwrap();
    assert!(secret.starts_with("vtoc_") && secret.lines().count() == 1, "{secret}");
    assert!(!error_output(&made).contains(secret.trim()));
    first.kill();

    let again = Up::start(place.path());
    let listed = tokens(place.path());
    assert_eq!(named(&listed, "ci")["station_slug"], "toc-s2");
    assert!(!listed.iter().any(|token| token.to_string().contains(secret.trim())));
    let revoked = vtoc().args(["token", "revoke", "ci", "--data"]).arg(place.path()).output().unwrap();
    assert!(revoked.status.success(), "{}", error_output(&revoked));
    assert!(named(&tokens(place.path()), "ci")["revoked_at"].is_string());

    assert_eq!(again.stop(), Some(0));
    assert!(!place.path().join("postgres/postmaster.pid").exists());
    let left: Vec<_> =
        fs::read_dir(place.path().join("run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["database-url"]);
}
