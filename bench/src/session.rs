//! One run of the benchmark: pair after pair, and in each pair every measure by everybody in turn, each on a database of its
//! own. Every second pair goes the other way round. Ctrl-C ends it and removes what it made.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use sqlx::{Connection, PgConnection};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use crate::{
    cluster::Cluster,
    engine::{self, Figures},
    floor, machine,
    measure::Measure,
    peers::Peers,
    record::{Record, Who},
    report::{self, Facts},
    steady::{self, Course, Drainer},
    stock::Stock,
};

/// What to measure, and how often.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A rough picture in under five minutes: fewer jobs, pairs, measures and peers
    #[arg(long)]
    quick: bool,
    /// Also write the figures here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Jobs per drain [default: 100000, quickly 30000]
    #[arg(long)]
    jobs: Option<usize>,
    /// Interleaved pairs [default: 10, quickly 3]
    #[arg(long)]
    pairs: Option<usize>,
    /// Jobs of a backlog and of a long history [default: 1000000, quickly 100000]
    #[arg(long)]
    backlog: Option<usize>,
    /// Only these measures
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measure>,
    /// Without peers
    #[arg(long)]
    no_peers: bool,
    /// Pairs in which peers also run at their defaults [default: 3, quickly 0]
    #[arg(long)]
    defaults_pairs: Option<usize>,
    /// Where the peers' programs are
    #[arg(long, default_value = "bench/peers")]
    peers: PathBuf,
    /// Also enqueue and drain at once for so many minutes, on top of a backlog and a long history
    #[arg(long, value_name = "MINUTES")]
    steady: Option<f64>,
    /// Whose course that is
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["engine", "floor", "floor-one-table"])]
    steady_of: Vec<Drainer>,
    /// Also drain, and enqueue and drain at once for two minutes, while somebody sits idle in a transaction
    #[arg(long)]
    idle_transaction: bool,
    /// Also drain while worker processes are killed and stopped, and see that no job is lost and none is done twice
    #[arg(long)]
    kills: bool,
}

/// Measures and reports.
pub(crate) async fn run(run: Run) -> anyhow::Result<()> {
    let admin_url = std::env::var("VTOC_TEST_DATABASE_URL")
        .context("VTOC_TEST_DATABASE_URL names no Postgres: run scripts/bench")?;
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let cluster = Cluster::connect(admin_url).await?;
    let measured = tokio::select! {
        measured = measure(&run, &cluster) => measured,
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to stop")),
    };
    cluster.close().await?;
    measured
}

async fn measure(run: &Run, cluster: &Cluster) -> anyhow::Result<()> {
    let mut session = Session::new(run, cluster);
    let mut admin = PgConnection::connect(cluster.admin_url()).await?;
    let postgres = machine::postgres(&mut admin).await?;
    admin.close().await?;
    let pairs = run.pairs.unwrap_or(if run.quick { 3 } else { 10 });
    for pair in 1..=pairs {
        eprintln!("pair {pair} of {pairs}");
        session.pair(pair).await?;
    }
    let courses = session.courses(run).await?;
    let (record, peers) = (session.record, session.peers);
    let facts = Facts { machine: machine::machine(), postgres, jobs: session.jobs, backlog: session.backlog, pairs };
    println!("{}", report::tables(&record, &courses));
    if let Some(file) = &run.json {
        let text = serde_json::to_string_pretty(&report::json(&facts, &record, &peers.versions, &courses))?;
        std::fs::write(file, text).with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}

struct Session<'a> {
    started: Instant,
    cluster: &'a Cluster,
    stock: Stock<'a>,
    peers: Peers,
    record: Record,
    measures: Vec<Measure>,
    jobs: usize,
    backlog: usize,
    defaults_pairs: usize,
}

impl<'a> Session<'a> {
    fn new(run: &Run, cluster: &'a Cluster) -> Self {
        let jobs = run.jobs.unwrap_or(if run.quick { 30_000 } else { 100_000 });
        let backlog = run.backlog.unwrap_or(if run.quick { 100_000 } else { 1_000_000 });
        let latency_s = if run.quick { 3 } else { 10 };
        let usual = if run.quick { Measure::QUICK.as_slice() } else { Measure::USUAL.as_slice() };
        let mut measures = if run.only.is_empty() { usual.to_vec() } else { run.only.clone() };
        for (asked, measure) in [(run.idle_transaction, Measure::IdleTransaction), (run.kills, Measure::Kills)] {
            if asked && !measures.contains(&measure) {
                measures.push(measure);
            }
        }
        Self {
            started: Instant::now(),
            cluster,
            stock: Stock::new(cluster, jobs, backlog, latency_s * 100),
            peers: if run.no_peers { Peers::none() } else { Peers::found(&run.peers, run.quick, latency_s) },
            record: Record::default(),
            measures,
            jobs,
            backlog,
            defaults_pairs: run.defaults_pairs.unwrap_or(if run.quick { 0 } else { 3 }),
        }
    }

    async fn pair(&mut self, pair: usize) -> anyhow::Result<()> {
        let mut everybody = vec![Who::Engine, Who::Floor];
        let settings = if pair <= self.defaults_pairs { ["best", "defaults"].as_slice() } else { &["best"] };
        everybody.extend(self.peers.participants(settings));
        if pair.is_multiple_of(2) {
            everybody.reverse();
        }
        for measure in self.measures.clone() {
            for who in &everybody {
                let figures = self.turn(measure, who).await.with_context(|| format!("{who}: {measure:?}"))?;
                for (figure, value) in figures {
                    let at_s = self.started.elapsed().as_secs();
                    eprintln!(
                        "{at_s:>6} s  {who}: {} {} {}",
                        figure.name(),
                        figure.unit().show(value),
                        figure.unit().sign()
                    );
                    self.record.add(pair, figure, who, value);
                }
            }
        }
        Ok(())
    }

    async fn turn(&mut self, measure: Measure, who: &Who) -> anyhow::Result<Figures> {
        match who {
            Who::Peer { name, settings } => {
                let mut figures = Vec::new();
                for asked in measure.for_peers() {
                    figures.extend(self.peers.run(self.cluster, (name, settings), asked, self.jobs).await?);
                }
                Ok(figures)
            }
            Who::Engine => {
                let stocked = self.stock.database_for(measure).await?;
                let figures = engine::run(measure, &stocked, &mut self.record.faults).await?;
                self.cluster.drop(stocked.fresh).await?;
                Ok(figures)
            }
            Who::Floor => {
                if !floor::CAN.contains(&measure) {
                    return Ok(Vec::new());
                }
                let stocked = self.stock.database_for(measure).await?;
                let figures = floor::run(measure, &stocked).await?;
                self.cluster.drop(stocked.fresh).await?;
                Ok(figures)
            }
        }
    }

    async fn courses(&self, run: &Run) -> anyhow::Result<Vec<Course>> {
        let mut courses = Vec::new();
        if let Some(minutes) = run.steady {
            let course = (self.backlog, minutes);
            courses.extend(steady::on_top_of_everything(self.cluster, &self.stock, &run.steady_of, course).await?);
        }
        if run.idle_transaction {
            courses.extend(steady::beside_an_idle_transaction(self.cluster, self.jobs).await?);
        }
        Ok(courses)
    }
}
