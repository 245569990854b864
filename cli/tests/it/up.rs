//! `vtoc up` as an operator has it: one folder, one fleet, the same data after every end. The api and worker programs are
//! those built beside `vtoc`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::place::{Place, error_output, vtoc};

/// A running `vtoc up`, killed when the test fails.
struct Up {
    child: Child,
    url: String,
}

impl Up {
    fn start(data: &Path) -> Up {
        let mut child = vtoc()
            .args(["up", "--port", "0", "--data"])
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim_end().strip_prefix("vtoc ready ").map(str::to_owned) else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("vtoc up didn't get ready: {said}");
        };
        Up { child, url }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As an operator stops it; answers with the exit code.
    fn stop(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // An orderly end where there is one to be had, so that a failed test leaves no fleet behind.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = Command::new("kill").arg(self.child.id().to_string()).status();
            let _ = self.child.wait();
        }
    }
}

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
