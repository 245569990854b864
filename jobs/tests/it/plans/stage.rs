//! A full queue on which calls are made as workers and the api make them. Each is made so often that the server has settled on
//! how it plans their statements, and each statement is held to what it may read; the plans are kept beside this file.

use std::{collections::BTreeSet, fmt, ops::AsyncFnMut};

use jobs::{ConnectOptions, Database, JobId, testing::TestDatabase};

use super::{
    coverage,
    heard::{self, Ear},
    law::{Allowance, broken, is_of_big_tables},
    plan::Plan,
};

/// After five runs the server may keep a plan that suits any parameter.
const RUNS: usize = 7;
/// Versions whose plans are kept.
const VERSIONS: [i64; 2] = [15, 18];

/// The template may be of an earlier hour, or day: there it is noon again, and what was alive is alive.
const NOON: &str = "do $$
    begin
        execute format(
            'create or replace function vtoc.clock() returns timestamptz language sql volatile parallel safe
            as $c$ select clock_timestamp() + interval %L $c$',
            (select kept_checked_on from vtoc.job_floor) + interval '12 hours' - now() at time zone 'UTC');
        update vtoc.worker set seen_at = vtoc.clock() where stopped_at is null;
        update vtoc.job_lease set lease_until = vtoc.clock() + interval '10 minutes';
    end
    $$";

pub(super) struct Stage {
    pub(super) base: TestDatabase,
    /// Over one connection, which calls share.
    pub(super) database: Database,
    pub(super) ear: Ear,
    version: i64,
    book: String,
    broken: Vec<Broken>,
    sent: BTreeSet<String>,
}

/// A statement that reads more than it may.
pub(super) struct Broken {
    call: String,
    query: String,
    pub(super) how: String,
    shape: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n{}\n{}", self.call, self.how, self.query, self.shape)
    }
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with_connections(1).await
    }

    /// For calls that need several connections at once.
    pub(super) async fn with_connections(connections_max: u32) -> Self {
        let base = TestDatabase::filled(include_str!("stock.sql")).await;
        base.execute(NOON).await;
        heard::explain(&base).await;
        let version = base.count("select current_setting('server_version_num')::bigint / 10000").await;
        let options = ConnectOptions { connections_max, ..ConnectOptions::default() };
        let database = Database::connect_lazy(&base.url, &options).unwrap();
        let (book, broken, sent) = (String::new(), Vec::new(), BTreeSet::new());
        Self { base, database, ear: Ear::new(), version, book, broken, sent }
    }

    /// [`Stage::pin`] for a call that is known to read too much, and made once; one that doesn't any more is to be pinned as others.
    pub(super) async fn tolerate(&mut self, call: &str, limit: u32, why: &str, make: impl AsyncFnMut(&Database)) {
        let before = self.broken.len();
        self.take_down(1, call, limit, make).await;
        assert!(self.broken.len() > before, "{call} reads no more than it may: {why} is no longer true");
        self.broken.truncate(before);
    }

    /// Makes a call that is about at most `limit` rows, again and again, and takes down how its statements were planned.
    pub(super) async fn pin(&mut self, call: &str, limit: u32, make: impl AsyncFnMut(&Database)) {
        self.take_down(RUNS, call, limit, make).await;
    }

    async fn take_down(&mut self, runs: usize, call: &str, limit: u32, mut make: impl AsyncFnMut(&Database)) {
        self.ear.take();
        self.book.push_str(&format!("{call}\n"));
        let (mut shapes, mut heard) = (Vec::new(), false);
        for _ in 0..runs {
            make(&self.database).await;
            for plan in self.ear.take() {
                self.judge(call, limit, &plan);
                // How a small table is read changes with its size, and nobody minds.
                let shape = (plan.query.clone(), plan.shape());
                if is_of_big_tables(&plan) && !shapes.contains(&shape) {
                    shapes.push(shape);
                }
                heard = true;
                self.sent.insert(plan.query);
            }
        }
        assert!(heard, "{call}: no plan was heard");
        let mut last = None;
        for (query, shape) in shapes {
            let again = if last.as_ref() == Some(&query) { "or" } else { "-" };
            self.book.push_str(&format!(" {again} {}\n{shape}", beginning(&query)));
            last = Some(query);
        }
    }

    fn judge(&mut self, call: &str, limit: u32, plan: &Plan) {
        let broken = broken(plan, Allowance::of(limit));
        if broken.is_empty() || self.broken.iter().any(|known| known.call == call && known.query == plan.query) {
            return;
        }
        self.broken.push(Broken {
            call: call.to_owned(),
            query: plan.query.clone(),
            how: broken.join("; "),
            shape: plan.shape(),
        });
    }

    /// Jobs that a query of their keys finds.
    pub(super) async fn jobs(&self, keys: &str) -> Vec<JobId> {
        let ids = format!(
            "select string_agg(vtoc.job_uuid(id, enqueued_at)::text, ' ' order by id) from vtoc.job where id in ({keys})"
        );
        let ids = self.base.text(&ids).await.expect("there are such jobs");
        ids.split(' ').map(|id| id.parse().unwrap()).collect()
    }

    /// What was broken so far.
    pub(super) fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// Ends with everything that was broken, or with plans that aren't those of the book.
    pub(super) async fn close(self, area: &str) {
        let told: Vec<String> = self.broken.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{} statements read too much:\n\n{}", told.len(), told.join("\n"));
        if VERSIONS.contains(&self.version) {
            let mut book = insta::Settings::clone_current();
            book.set_snapshot_path("books");
            book.set_prepend_module_to_snapshot(false);
            book.set_omit_expression(true);
            book.bind(|| insta::assert_snapshot!(format!("{area}_{}", self.version), self.book));
        }
        coverage::assert_all_sent(area, &self.sent);
        self.database.close().await;
        self.base.drop().await;
    }
}

fn beginning(query: &str) -> String {
    query.chars().take(100).collect()
}
