//! Drivers and databases that do one thing wrong, and that it is found: by the laws on the mutant's own history, or by the
//! comparison with the model. Nothing in the queue is switched off for it.

mod drivers;
mod receipts;

use std::rc::Rc;

use jobs::laws::{Law, Report};
use proptest::test_runner::TestCaseError;
use tokio::runtime::Runtime;

use self::drivers::{Unfenced, Unlocked, Unrenewed};
use super::{
    call::{Came, Delivery, Heard, Queue},
    commands::{Command, WORKERS},
    draw, judged,
    model::Model,
    real::{Real, with_ledger},
    run::run,
};

/// Cases within which a mutant drawn by lot must be found.
const ENOUGH: u32 = 1_000;
const COMMANDS: usize = 120;

/// The first child.
const CHILD: usize = WORKERS;

/// One job, taken by a worker that is then away for longer than its lease, swept and taken by a child; `away` is what the
/// worker does before that, `back` what both do after it.
fn taken_twice(away: &[Command], back: &[Command]) -> Vec<Command> {
    let job = Delivery { number: 0, attempts_max: 3, priority: 0, delay_s: 0 };
    let begin = [Command::Enqueue(job, Heard::Answer), Command::Claim { worker: 0, limit: 1 }];
    let swept = [Command::Pass(30), Command::Sweep { blame: false }, Command::ClaimSuspect { child: CHILD }];
    [&begin, away, &swept, back].concat()
}

/// Runs a script on a Postgres of its own, driven by `driver`.
fn on_postgres<D: Queue>(script: &[Command], driver: impl FnOnce(Real) -> D) -> Report {
    let runtime = Rc::new(Runtime::new().unwrap());
    let base = runtime.block_on(with_ledger());
    run(script, vec![&mut driver(Real::new(&runtime, &base))]).unwrap().remove(0)
}

/// The sound driver goes through the script, sees its fault and breaks no law; the mutant breaks the second.
fn assert_found<D: Queue>(script: &[Command], mutant: impl FnOnce(Real) -> D) -> Report {
    let sound = on_postgres(script, |real| real);
    assert!(sound.holds() && sound.counts(), "{sound}");
    let report = on_postgres(script, mutant);
    assert!(report.counts() && report.violations.iter().any(|violation| violation.law == Law::Once), "{report}");
    report
}

/// Sequences drawn by lot find the mutant among models too, by its own history alone.
fn assert_breaks_a_law_by_lot<D: Queue>(mutant: impl Fn(Model) -> D) {
    let drawn = draw(ENOUGH, COMMANDS, |commands| {
        let reports = run(&commands, vec![&mut mutant(Model::default())]).map_err(TestCaseError::fail)?;
        judged(&reports).map(|_| ())
    });
    let how = drawn.expect_err("the mutant lives");
    assert!(how.contains("L2: job"), "{how}");
}

/// Sequences drawn by lot show the mutant to differ from the model.
fn assert_differs_by_lot<D: Queue>(mutant: impl Fn(Model) -> D) {
    let drawn = draw(ENOUGH, COMMANDS, |commands| {
        run(&commands, vec![&mut Model::default(), &mut mutant(Model::default())])
            .map_err(TestCaseError::fail)
            .map(|_| ())
    });
    drawn.expect_err("the mutant lives");
}

#[test]
fn a_driver_without_fencing_is_found() {
    let script = taken_twice(&[], &[Command::Finish(0, vec![(0, Came::Done)])]);
    let report = assert_found(&script, Unfenced);
    assert_eq!(report.violations[0].what, "an attempt whose lease was gone wrote", "{report}");
    assert_breaks_a_law_by_lot(Unfenced);
}

#[test]
fn an_effect_without_the_rows_lock_is_found() {
    let late = [Command::Lock(CHILD, 0), Command::Commit(CHILD), Command::Commit(0)];
    let report = assert_found(&taken_twice(&[Command::Lock(0, 0)], &late), Unlocked::new);
    let whats: Vec<&str> = report.violations.iter().map(|violation| violation.what).collect();
    assert_eq!(whats, ["an attempt whose lease was gone wrote", "an effect took effect more than once"], "{report}");
    assert_breaks_a_law_by_lot(Unlocked::new);
}

#[test]
fn a_renewal_that_stopped_is_found() {
    let job = Delivery { number: 0, attempts_max: 3, priority: 0, delay_s: 0 };
    let script = [
        Command::Enqueue(job, Heard::Answer),
        Command::Claim { worker: 0, limit: 1 },
        Command::Pass(20),
        Command::Renew(0),
        Command::Pass(10),
        Command::Sweep { blame: true },
    ];
    let runtime = Rc::new(Runtime::new().unwrap());
    let base = runtime.block_on(with_ledger());
    let compared = |queue: &mut dyn Queue| run(&script, vec![&mut Model::default(), queue]);
    compared(&mut Real::new(&runtime, &base)).unwrap();
    let difference = compared(&mut Unrenewed(Real::new(&runtime, &base))).unwrap_err();
    assert!(difference.starts_with("Sweep"), "{difference}");
    assert_differs_by_lot(Unrenewed);
}
