//! What senders were told against what stands in the database: nothing accepted is lost or doubled, and what was never
//! accepted is there at most once.

use std::collections::BTreeMap;

use super::{Fault, Law, Record, Report, Sight, Violation};
use crate::JobId;

/// All that is known of one delivery.
#[derive(Default)]
struct Delivery<'a> {
    accepted: Vec<(JobId, &'a Record)>,
    jobs: Vec<(JobId, &'a Record)>,
}

pub(super) fn check(history: &[Record], report: &mut Report) {
    let mut deliveries = BTreeMap::<&str, Delivery<'_>>::new();
    for record in history {
        match record {
            Record::Sent { delivery, sight } => {
                let known = deliveries.entry(delivery).or_default();
                match sight {
                    Sight::Accepted(job) => known.accepted.push((*job, record)),
                    Sight::Unavailable => _ = report.faults.insert(Fault::Unavailable),
                    Sight::Unanswered => _ = report.faults.insert(Fault::Unanswered),
                }
            }
            Record::Enqueued { job, delivery: Some(delivery), .. } => {
                deliveries.entry(delivery).or_default().jobs.push((*job, record));
            }
            _ => {}
        }
    }
    for delivery in deliveries.values() {
        one_job(delivery, report);
        the_same_answer(delivery, report);
    }
}

/// Exactly one job for a delivery that was accepted, at most one for another.
fn one_job(delivery: &Delivery<'_>, report: &mut Report) {
    let mut records: Vec<Record> =
        delivery.accepted.iter().chain(&delivery.jobs).map(|(_, record)| (*record).clone()).collect();
    match (delivery.accepted.first(), &*delivery.jobs) {
        (Some((job, _)), []) => {
            report.violations.push(Violation {
                law: Law::Kept,
                job: *job,
                what: "an accepted delivery is lost",
                records,
            });
        }
        (accepted, [_, (second, _), ..]) => {
            let law = if accepted.is_some() { Law::Kept } else { Law::Unaccepted };
            report.violations.push(Violation { law, job: *second, what: "one delivery is several jobs", records });
        }
        (Some((job, _)), [(other, _)]) if job != other => {
            records.truncate(2);
            let what = "the answer names another job than the delivery became";
            report.violations.push(Violation { law: Law::Kept, job: *job, what, records });
        }
        _ => {}
    }
}

/// Whoever sends a delivery again hears of the same job.
fn the_same_answer(delivery: &Delivery<'_>, report: &mut Report) {
    let Some((first, record)) = delivery.accepted.first() else { return };
    if let Some((other, repeat)) = delivery.accepted.iter().find(|(job, _)| job != first) {
        let records = vec![(*record).clone(), (*repeat).clone()];
        let what = "a repeated delivery was answered with another job";
        report.violations.push(Violation { law: Law::Kept, job: *other, what, records });
    }
}
