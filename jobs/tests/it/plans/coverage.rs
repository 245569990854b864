//! That no statement is forgotten: each that the build describes (`.sqlx`) and that a file of an area holds was sent in that
//! area's test. Statements that are put together when they are sent aren't described; their calls are in the areas.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::plan::in_one_line;

/// Which files' statements are pinned where.
const AREAS: [(&str, &[&str]); 6] = [
    ("work", &["queue/claim.rs", "queue/claim/bodies.rs", "queue/claim/look.rs", "queue/sweep.rs", "workers.rs"]),
    (
        "ends",
        &[
            "queue/batch.rs",
            "queue/callback.rs",
            "queue/cancel.rs",
            "queue/family.rs",
            "queue/finish.rs",
            "queue/finish/again.rs",
            "queue/finish/history.rs",
            "queue/settle.rs",
            "queue/wait.rs",
            "aftermath.rs",
        ],
    ),
    ("jobs", &["inspect/keys.rs", "inspect/running.rs"]),
    ("beside", &["audits.rs", "receipts.rs", "runs.rs"]),
    ("retries", &["queue/dead.rs", "queue/dead/purge.rs", "queue/dead/retry.rs"]),
    ("intake", &["queue/enqueue.rs", "queue/large.rs", "accept.rs", "accept/intent.rs"]),
];
/// Files that two areas share, or of which no statement grows with the queue.
const APART: [(&str, &str); 24] = [
    ("queue/lease.rs", "clear_blame looks again only for what moved meanwhile"),
    ("inspect.rs", "its lists are pinned in `jobs`, single jobs in `job`"),
    ("queue/history.rs", "makes days; pinned in `upkeep`"),
    ("queue/prune.rs", "pinned in `upkeep`"),
    ("queue/prune/bodies.rs", "pinned in `upkeep`, but for payloads over the cap"),
    ("queue/prune/days.rs", "reads the catalogue"),
    ("queue/prune/rows.rs", "pinned in `upkeep`"),
    ("queue/share.rs", "a row a lane"),
    ("queue/wake.rs", "reads no table"),
    ("chat.rs", "messages are found by channel or key; two of its calls are in `beside` and `intake`"),
    ("database.rs", "reads no table"),
    ("kinds/post_chat.rs", "an effect by its key"),
    ("migrate.rs", "a row a migration"),
    ("provision.rs", "reads the catalogue"),
    ("stations.rs", "a row a station"),
    ("tokens.rs", "a row a token"),
    ("telemetry.rs", "the stations' data isn't the queue"),
    ("schedules/change.rs", "a row a schedule"),
    ("schedules/create.rs", "a row a schedule"),
    ("schedules/job.rs", "a row a schedule"),
    ("schedules/row.rs", "a row a schedule"),
    ("schedules/switch.rs", "a row a schedule"),
    ("schedules/tick.rs", "a row a schedule"),
    ("schedules/trigger.rs", "a row a schedule"),
];
/// What is sent by jobs that run, in another area, or in a rare moment: each by a primary or unique key, or of few rows.
const ELSEWHERE: [&str; 11] = [
    "delete from vtoc.job_cancel where job_id = $1",
    "insert into vtoc.audit",
    "select count(*) as \"count!\" from vtoc.worker",
    "select id from vtoc.job_floor",
    "update vtoc.playbook_run set status = 'running'",
    "insert into vtoc.playbook_run as run",
    "insert into vtoc.playbook_step",
    "select step, result from vtoc.playbook_step",
    "update vtoc.playbook_run set status = case",
    "update vtoc.audit set status = $2",
    "select payload as \"payload!: Json<Box<RawValue>>\" from vtoc.job_beside",
];

/// Ends with the statements of `area`'s files, if it has some, that are not among those `sent`.
pub(super) fn assert_all_sent(area: &str, sent: &BTreeSet<String>) {
    let Some((_, files)) = AREAS.iter().find(|(name, _)| *name == area) else { return };
    let sources: String =
        files.iter().map(|file| in_one_line(&fs::read_to_string(source().join(file)).unwrap())).collect();
    let missing: Vec<String> = described()
        .into_iter()
        .filter(|query| sources.contains(query) && !sent.contains(query))
        .filter(|query| !ELSEWHERE.iter().any(|known| query.starts_with(known)))
        .collect();
    assert!(missing.is_empty(), "{area}: never sent:\n{}", missing.join("\n"));
}

#[test]
fn every_file_with_statements_is_of_an_area_or_said_to_be_apart() {
    let mut known: Vec<&str> = AREAS.iter().flat_map(|(_, files)| files.iter().copied()).collect();
    known.extend(APART.iter().map(|(file, _)| *file));
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "testing" {
                folders.push(path);
            } else if path.is_file() && fs::read_to_string(&path).unwrap().contains("sqlx::query") {
                assert!(known.contains(&name.as_str()), "{name}: which test pins what its statements read?");
            }
        }
    }
}

fn source() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn described() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.sqlx");
    let described = fs::read_dir(folder).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let query =
        |json: String| serde_json::from_str::<serde_json::Value>(&json).unwrap()["query"].as_str().map(in_one_line);
    described.filter_map(query).collect()
}
