//! A database that takes a statement and never answers: the call ends at its deadline, and its connection is not used
//! again, so that even a pool of one goes on.

use std::{process::Command, time::Duration};

use jobs::{ConnectOptions, Database, Scope, stations::Role, testing::TestDatabase};

/// A server process that doesn't move until the test ends.
struct Frozen(i64);

impl Frozen {
    fn new(pid: i64) -> Self {
        Self::signal("-STOP", pid);
        Self(pid)
    }

    fn signal(signal: &str, pid: i64) {
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        Self::signal("-CONT", self.0);
    }
}

#[tokio::test]
async fn a_connection_whose_answer_never_came_is_replaced_and_not_waited_for() {
    let test = TestDatabase::new().await;
    test.station("toc-s1", Role::Ops).await;
    let options = ConnectOptions {
        application_name: "unanswered",
        connections_max: 1,
        acquire_timeout: Duration::from_secs(1),
        deadline: Duration::from_secs(1),
        ..ConnectOptions::default()
    };
    let database = Database::connect(&test.url, &options).await.unwrap();
    let stations = || jobs::stations::list(&database, Scope::Fleet);
    assert_eq!(stations().await.unwrap().len(), 1);
    let pid = test.count("select pid::bigint from pg_stat_activity where application_name = 'unanswered' and datname = current_database()").await;
    let _frozen = Frozen::new(pid);
    assert!(stations().await.unwrap_err().is_transient());
    assert_eq!(stations().await.unwrap().len(), 1, "the only connection was given up and replaced");
}
