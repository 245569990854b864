//! The private cluster: made once, the same data at every start, whatever ended the last one.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use cli::cluster::{Account, Cluster, Error, Options, Shutdown};
use tokio::time::timeout;

use crate::place::{Place, psql};

const PASSWORD: &str = "correct-horse";

async fn start(place: &Place) -> Cluster {
    Cluster::start(place.path(), &place.log(), PASSWORD, Options::default()).await.unwrap()
}

fn ask(cluster: &Cluster, statement: &str) -> String {
    let output = psql(&cluster.binaries().folder, &cluster.url("postgres"), statement);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn data_stays_over_an_orderly_stop() {
    let place = Place::new();
    let cluster = start(&place).await;
    ask(&cluster, "create table kept as select 42 as answer");
    let data = cluster.data().to_path_buf();
    cluster.stop(Shutdown::Fast).await.unwrap();
    assert!(!data.join("postmaster.pid").exists());

    let cluster = start(&place).await;
    assert_eq!(ask(&cluster, "select answer from kept"), "42");
    cluster.stop(Shutdown::Fast).await.unwrap();
}

#[tokio::test]
async fn a_killed_server_starts_again_on_its_port_with_what_was_committed() {
    let place = Place::new();
    let mut cluster = start(&place).await;
    let port = cluster.port();
    ask(&cluster, "create table kept as select 42 as answer");
    let pid = cluster.pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    let ended = timeout(Duration::from_secs(20), cluster.ended()).await.unwrap().unwrap();
    assert!(!ended.success());

    timeout(Duration::from_secs(60), async { while cluster.start_again().await.is_err() {} }).await.unwrap();
    assert_eq!(cluster.port(), port);
    assert_eq!(ask(&cluster, "select answer from kept"), "42");
    cluster.stop(Shutdown::Immediate).await.unwrap();
}

#[tokio::test]
async fn a_server_that_an_earlier_run_left_is_ended_first() {
    let place = Place::new();
    let left = start(&place).await;
    ask(&left, "create table kept as select 42 as answer");
    let old = left.pid();
    // Nobody stops it: this is what a killed run leaves.
    std::mem::forget(left);

    let cluster = start(&place).await;
    assert_ne!(cluster.pid(), old);
    assert_eq!(ask(&cluster, "select answer from kept"), "42");
    cluster.stop(Shutdown::Fast).await.unwrap();
}

#[tokio::test]
async fn only_the_password_lets_in_and_only_on_loopback() {
    let place = Place::new();
    let cluster = start(&place).await;
    let wrong = cluster.url("postgres").replace(PASSWORD, "wrong-horse");
    let refused = psql(&cluster.binaries().folder, &wrong, "select 1");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("password authentication failed"));
    assert_eq!(ask(&cluster, "show listen_addresses"), "127.0.0.1");
    assert_eq!(ask(&cluster, "show unix_socket_directories"), "");
    assert_eq!(ask(&cluster, "show server_encoding"), "UTF8");
    assert_eq!(ask(&cluster, "show fsync"), "on");
    let mode = fs::metadata(cluster.data()).unwrap().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    cluster.stop(Shutdown::Fast).await.unwrap();
}

#[tokio::test]
async fn a_half_made_cluster_is_made_anew() {
    let place = Place::new();
    let unfinished = place.path().join("postgres.new");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
    let cluster = start(&place).await;
    assert!(!unfinished.exists());
    cluster.stop(Shutdown::Immediate).await.unwrap();
}

#[tokio::test]
async fn data_of_another_major_version_is_refused_with_both_versions() {
    let place = Place::new();
    let data = place.path().join("postgres");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "9\n").unwrap();
    let error = Cluster::start(place.path(), &place.log(), PASSWORD, Options::default()).await.unwrap_err();
    assert!(matches!(error, Error::OtherVersion { wanted: 9, .. }), "{error}");
}

#[tokio::test]
async fn a_folder_out_of_the_servers_reach_is_named_with_the_remedy() {
    let Account::Unprivileged { .. } = Account::choose().unwrap() else {
        // Run as an ordinary user, the server has the same reach as we.
        return;
    };
    let place = Place::new();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error = Cluster::start(place.path(), &place.log(), PASSWORD, Options::default()).await.unwrap_err().to_string();
    let folder = place.path().canonicalize().unwrap();
    assert!(error.contains(&format!("chmod o+x {}", folder.display())), "{error}");
    assert!(!place.path().join("postgres").exists());
}
