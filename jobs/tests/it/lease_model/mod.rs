//! The lease protocol, drawn by lot: a pure model of it, and the same commands on Postgres, compared after every call. The
//! laws judge both histories in the end, and a run in which no fault was seen is drawn again. `mutants` shows that what is
//! wrong is found.
//!
//! `VTOC_MODEL_SEED` repeats a run, `VTOC_MODEL_CASES` says how many are drawn; a failure names its seed.

mod call;
mod commands;
mod crew;
mod history;
mod model;
mod mutants;
mod real;
mod run;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    env,
    rc::Rc,
    time::{Duration, Instant},
};

use jobs::laws::{Fault, Report};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tokio::runtime::Runtime;

use self::{
    commands::{Command, commands},
    model::Model,
    real::Real,
    run::run,
};

/// How many runs are drawn; without it as many as suit every test run.
const CASES: &str = "VTOC_MODEL_CASES";
const PURE_CASES: u32 = 3_000;
const PURE_COMMANDS: usize = 120;
const REAL_CASES: u32 = 30;
const REAL_COMMANDS: usize = 90;
/// After this long no more runs are begun on Postgres, unless their number was asked for.
const REAL_WITHIN: Duration = Duration::from_secs(15);
/// Longest search for a shorter failure on Postgres.
const SHRINK_MS: u32 = 60_000;

/// A number from the environment.
fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Draws sequences until `cases` of them were taken for good.
///
/// # Errors
/// The shortest sequence found to fail, and the seed.
fn draw(cases: u32, most: usize, judge: impl Fn(Vec<Command>) -> Result<(), TestCaseError>) -> Result<(), String> {
    let seed: u64 = setting("VTOC_MODEL_SEED").unwrap_or_else(rand::random);
    let config = Config {
        cases: setting(CASES).unwrap_or(cases),
        max_global_rejects: 20 * cases,
        max_shrink_time: SHRINK_MS,
        failure_persistence: None,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    println!("VTOC_MODEL_SEED={seed}");
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    runner.run(&commands(most), judge).map_err(|error| match error {
        TestError::Fail(reason, commands) => format!("VTOC_MODEL_SEED={seed}: {reason}\n{}", lines(&commands)),
        TestError::Abort(reason) => format!("VTOC_MODEL_SEED={seed}: {reason}"),
    })
}

fn lines(commands: &[Command]) -> String {
    commands.iter().map(|command| format!("    {command:?}\n")).collect()
}

/// What a run is worth: nothing without a fault, a failure when a law is broken.
fn judged(reports: &[Report]) -> Result<&BTreeSet<Fault>, TestCaseError> {
    if let Some(broken) = reports.iter().find(|report| !report.holds()) {
        return Err(TestCaseError::fail(broken.to_string()));
    }
    match reports.first() {
        Some(report) if report.counts() => Ok(&report.faults),
        _ => Err(TestCaseError::reject("no fault was seen")),
    }
}

#[test]
fn the_model_keeps_the_laws_whatever_happens() {
    let seen = RefCell::new(BTreeSet::<Fault>::new());
    let drawn = draw(PURE_CASES, PURE_COMMANDS, |commands| {
        let mut model = Model::default();
        let reports = run(&commands, vec![&mut model]).map_err(TestCaseError::fail)?;
        seen.borrow_mut().extend(judged(&reports)?);
        Ok(())
    });
    drawn.unwrap_or_else(|failure| panic!("{failure}"));
    let every = [Fault::StaleAttempt, Fault::LeaseExpired, Fault::ProcessDied, Fault::Unavailable, Fault::Unanswered];
    assert_eq!(Vec::from_iter(seen.into_inner()), every);
}

#[test]
fn postgres_does_what_the_model_does_and_both_keep_the_laws() {
    let runtime = Rc::new(Runtime::new().unwrap());
    // A run that fails leaves jobs behind: the next one gets a database of its own.
    let at_rest = RefCell::new(None);
    let (started, counted, failed) = (Instant::now(), Cell::new(0), Cell::new(false));
    let in_time = || setting::<u32>(CASES).is_some() || started.elapsed() < REAL_WITHIN;
    let drawn = draw(REAL_CASES, REAL_COMMANDS, |commands| {
        // What has failed is still made shorter.
        if !in_time() && !failed.get() {
            return Ok(());
        }
        failed.set(true);
        let base = at_rest.take().unwrap_or_else(|| runtime.block_on(real::with_ledger()));
        let (mut model, mut real) = (Model::default(), Real::new(&runtime, &base));
        let reports = run(&commands, vec![&mut real, &mut model]).map_err(TestCaseError::fail)?;
        drop(real);
        at_rest.replace(Some(base));
        let seen = judged(&reports);
        failed.set(matches!(seen, Err(TestCaseError::Fail(_))));
        seen?;
        counted.set(counted.get() + 1);
        Ok(())
    });
    drawn.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{} runs in which a fault was seen", counted.get());
    assert!(counted.get() > 0);
}
