//! One job's life: who held it when, what each attempt wrote, and how often it began.

use std::collections::{BTreeMap, BTreeSet};

use super::{Came, Fault, Law, Record, Report, Violation};
use crate::{JobId, queue::CRASHES_MAX};

pub(super) fn check(job: JobId, records: &[&Record], report: &mut Report) {
    report.violations.extend(held_by_one(job, records));
    report.violations.extend(ended_once(job, records));
    report.violations.extend(effects_once(job, records));
    report.violations.extend(within_limits(job, records));
    seen(records, &mut report.faults);
}

/// The violation of a job that never came to an end.
pub(super) fn unfinished(job: JobId, records: &[&Record]) -> Option<Violation> {
    let made = records.iter().any(|record| matches!(record, Record::Enqueued { .. }));
    let ended = records.iter().any(|record| matches!(record, Record::Ended { .. }));
    (made && !ended).then(|| violation(Law::Kept, job, "it never came to an end", records))
}

/// Only the claim that stands may write, and none begins while another stands or after the end.
fn held_by_one(job: JobId, records: &[&Record]) -> Option<Violation> {
    let mut standing: Option<(i64, &Record)> = None;
    let mut end: Option<&Record> = None;
    for &record in records {
        let broken = |what, before: &Record| Some(violation(Law::Once, job, what, &[before, record]));
        if let Some(token) = written_under(record)
            && standing.is_none_or(|(held, _)| held != token)
        {
            return Some(not_the_holder(job, token, record, records));
        }
        match (record, end, standing) {
            (Record::Claimed { .. }, Some(end), _) => return broken("an attempt began after the end", end),
            (Record::Claimed { .. }, _, Some((_, before))) => {
                return broken("an attempt began while another held the job", before);
            }
            (Record::Claimed { token, .. }, ..) => standing = Some((*token, record)),
            (Record::Finished { .. } | Record::Swept { .. }, ..) => standing = None,
            (Record::Ended { .. }, ..) => end = Some(record),
            _ => {}
        }
    }
    None
}

/// The claim that must stand for this to have been written.
fn written_under(record: &Record) -> Option<i64> {
    match record {
        Record::Finished { token, .. }
        | Record::Swept { token, .. }
        | Record::Effect { token: Some(token), took: true, .. } => Some(*token),
        _ => None,
    }
}

/// The claim's whole story up to what it wrote although it held nothing.
fn not_the_holder(job: JobId, token: i64, written: &Record, records: &[&Record]) -> Violation {
    let until = records.iter().position(|record| std::ptr::eq(*record, written)).map_or(0, |at| at + 1);
    let shows = |record: &&&Record| match record {
        Record::Claimed { .. } => true,
        Record::Finished { token: of, .. } | Record::Swept { token: of, .. } => *of == token,
        other => std::ptr::eq(**other, written),
    };
    let story: Vec<&Record> = records[..until].iter().filter(shows).copied().collect();
    violation(Law::Once, job, "an attempt whose lease was gone wrote", &story)
}

fn ended_once(job: JobId, records: &[&Record]) -> Option<Violation> {
    let ends: Vec<&Record> = records.iter().copied().filter(|record| matches!(record, Record::Ended { .. })).collect();
    (ends.len() > 1).then(|| violation(Law::Once, job, "it was completed more than once", records))
}

fn effects_once(job: JobId, records: &[&Record]) -> Vec<Violation> {
    let mut arrived = BTreeMap::<&str, Vec<&Record>>::new();
    for &record in records {
        if let Record::Effect { name, .. } = record {
            arrived.entry(name).or_default().push(record);
        }
    }
    let mut broken = Vec::new();
    for effects in arrived.values() {
        let (mut keys, mut took) = (BTreeSet::new(), 0);
        for effect in effects {
            if let Record::Effect { key, took: changed, .. } = effect {
                keys.insert(key);
                took += usize::from(*changed);
            }
        }
        if keys.len() > 1 {
            broken.push(violation(Law::Once, job, "an effect arrived under several keys", effects));
        }
        if took > 1 {
            broken.push(violation(Law::Once, job, "an effect took effect more than once", effects));
        }
    }
    broken
}

/// Attempts that count are those that ended the job, burned an attempt or died; those given back are free.
fn within_limits(job: JobId, records: &[&Record]) -> Option<Violation> {
    let limit = records.iter().find_map(|record| match record {
        Record::Enqueued { attempts_max, .. } => Some(*attempts_max),
        _ => None,
    })?;
    let (mut counted, mut blamed) = (BTreeSet::new(), BTreeSet::new());
    for record in records {
        match record {
            Record::Claimed { attempt, .. } if *attempt > limit => {
                return Some(violation(Law::Bounded, job, "an attempt beyond the limit began", records));
            }
            Record::Claimed { token, .. } => _ = counted.insert(*token),
            Record::Finished { token, came: Came::GivenBack, .. } | Record::Swept { token, blamed: false, .. } => {
                counted.remove(token);
            }
            Record::Swept { token, blamed: true, .. } => _ = blamed.insert(*token),
            Record::Cleared { token, .. } => {
                counted.remove(token);
                blamed.remove(token);
            }
            _ => {}
        }
    }
    let budget = usize::try_from(CRASHES_MAX).unwrap_or(0);
    // The first death may have been in company: it makes a suspect and counts as nobody's.
    if blamed.len() > budget + 1 {
        return Some(violation(Law::Bounded, job, "it died more often than its budget of crashes", records));
    }
    (counted.len() > usize::try_from(limit).unwrap_or(0) + budget)
        .then(|| violation(Law::Bounded, job, "more attempts than its limit and its budget of crashes", records))
}

fn seen(records: &[&Record], faults: &mut BTreeSet<Fault>) {
    let mut swept = BTreeSet::new();
    for record in records {
        match record {
            Record::Swept { token, blamed, .. } => {
                swept.insert(*token);
                faults.insert(if *blamed { Fault::ProcessDied } else { Fault::LeaseExpired });
            }
            // A result that is sent again after it was written is refused too, and is no fault.
            Record::Refused { token, .. } if swept.contains(token) => _ = faults.insert(Fault::StaleAttempt),
            _ => {}
        }
    }
}

fn violation(law: Law, job: JobId, what: &'static str, records: &[&Record]) -> Violation {
    Violation { law, job, what, records: records.iter().map(|record| (*record).clone()).collect() }
}
