//! What proptest draws: commands that name workers and their attempts by small numbers, so that every sequence of them
//! means something and stays meaningful when it shrinks. `crew` says what they mean at their moment.

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::select,
};

use super::call::{Came, Delivery, Heard};

/// Workers that claim batches.
pub(crate) const WORKERS: usize = 3;
/// Workers and children that run suspects.
pub(crate) const SLOTS: usize = WORKERS + 2;
/// Deliveries at most; more sends are repeats.
const DELIVERIES: u8 = 12;

#[derive(Debug, Clone)]
pub(crate) enum Command {
    Enqueue(Delivery, Heard),
    Look(usize),
    Claim {
        worker: usize,
        limit: usize,
    },
    ClaimSuspect {
        child: usize,
    },
    Renew(usize),
    /// Results of some attempts, counted from the newest: running ones, stale ones, some that were told before.
    Finish(usize, Vec<(usize, Came)>),
    Overrule(usize, usize),
    Lock(usize, usize),
    Commit(usize),
    Complete(usize),
    Drop(usize),
    Sweep {
        blame: bool,
    },
    Die {
        slot: usize,
        reported: bool,
    },
    Retire(usize),
    Cancel(usize),
    ClearBlame(usize),
    Pass(i64),
}

/// Sequences that get somewhere: jobs, claims and results often, deaths now and then.
pub(crate) fn commands(most: usize) -> impl Strategy<Value = Vec<Command>> {
    let slot = || 0..SLOTS;
    let attempt = || 0..6_usize;
    let bool = || any::<bool>();
    let command = prop_oneof![
        7 => (delivery(), heard()).prop_map(|(delivery, heard)| Command::Enqueue(delivery, heard)),
        2 => slot().prop_map(Command::Look),
        8 => (0..WORKERS, 1..=4_usize).prop_map(|(worker, limit)| Command::Claim { worker, limit }),
        5 => (WORKERS..SLOTS).prop_map(|child| Command::ClaimSuspect { child }),
        4 => slot().prop_map(Command::Renew),
        9 => (slot(), vec((attempt(), came()), 1..4)).prop_map(|(slot, results)| Command::Finish(slot, results)),
        1 => (slot(), attempt()).prop_map(|(slot, attempt)| Command::Overrule(slot, attempt)),
        4 => (slot(), attempt()).prop_map(|(slot, attempt)| Command::Lock(slot, attempt)),
        2 => slot().prop_map(Command::Commit),
        3 => slot().prop_map(Command::Complete),
        1 => slot().prop_map(Command::Drop),
        6 => prop_oneof![4 => Just(true), 1 => Just(false)].prop_map(|blame| Command::Sweep { blame }),
        2 => (slot(), bool()).prop_map(|(slot, reported)| Command::Die { slot, reported }),
        1 => slot().prop_map(Command::Retire),
        2 => (0..DELIVERIES as usize).prop_map(Command::Cancel),
        3 => slot().prop_map(Command::ClearBlame),
        7 => prop_oneof![3 => Just(10), 4 => Just(30), 1 => Just(60), 1 => Just(900)].prop_map(Command::Pass),
    ];
    vec(command, 1..=most)
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let delay_s = prop_oneof![4 => Just(0), 1 => Just(20)];
    (0..DELIVERIES, 1..=3_i16, 0..=2_i16, delay_s).prop_map(|(number, attempts_max, priority, delay_s)| Delivery {
        number,
        attempts_max,
        priority,
        delay_s,
    })
}

fn heard() -> impl Strategy<Value = Heard> {
    prop_oneof![8 => Just(Heard::Answer), 1 => Just(Heard::Nothing), 1 => Just(Heard::Unavailable)]
}

fn came() -> impl Strategy<Value = Came> {
    const OTHERS: &[Came] = &[
        Came::Retry,
        Came::RetryAsked,
        Came::TimedOut,
        Came::Panicked,
        Came::Snooze,
        Came::Cancel,
        Came::Dead,
        Came::Interrupted,
        Came::GivenUp,
    ];
    prop_oneof![1 => Just(Came::Done), 3 => select(OTHERS)]
}
