//! Histories in the fewest records: one that keeps each law, and one that breaks it.

use uuid::Uuid;

use super::*;

fn job(n: u128) -> JobId {
    JobId::from(Uuid::from_u128(n))
}

fn sent(sight: Sight) -> Record {
    Record::Sent { delivery: "d".to_owned(), sight }
}

fn made(n: u128) -> Record {
    Record::Enqueued { job: job(n), delivery: Some("d".to_owned()), attempts_max: 2 }
}

fn claimed(token: i64, attempt: i16) -> Record {
    Record::Claimed { job: job(1), token, attempt }
}

fn finished(token: i64, came: Came) -> Record {
    Record::Finished { job: job(1), token, came }
}

fn swept(token: i64, blamed: bool) -> Record {
    Record::Swept { job: job(1), token, blamed }
}

fn effect(token: Option<i64>, key: &str) -> Record {
    Record::Effect { job: job(1), name: "post".to_owned(), key: key.to_owned(), token, took: true }
}

fn ended() -> Record {
    Record::Ended { job: job(1) }
}

/// The laws that a history breaks, and how.
fn broken(history: &[Record]) -> Vec<(Law, &'static str)> {
    check(history).violations.iter().map(|violation| (violation.law, violation.what)).collect()
}

#[test]
fn a_delivery_that_is_done_after_a_death_breaks_nothing_and_counts() {
    let history = [
        sent(Sight::Unanswered),
        sent(Sight::Accepted(job(1))),
        made(1),
        claimed(1, 1),
        swept(1, true),
        claimed(2, 1),
        Record::Refused { job: job(1), token: 1 },
        effect(Some(2), "k"),
        finished(2, Came::Ended),
        ended(),
    ];
    let report = check(&history);
    assert!(report.holds() && report.counts(), "{report}");
    assert_eq!(Vec::from_iter(report.faults), [Fault::StaleAttempt, Fault::ProcessDied, Fault::Unanswered]);
}

#[test]
fn a_run_in_which_nothing_went_wrong_proves_nothing() {
    let repeat = Record::Refused { job: job(1), token: 1 };
    let report = check(&[made(1), claimed(1, 1), finished(1, Came::Ended), ended(), repeat]);
    assert!(report.holds() && !report.counts(), "{report}");
}

#[test]
fn an_accepted_delivery_is_one_job_that_ends() {
    let accepted = sent(Sight::Accepted(job(1)));
    assert_eq!(broken(std::slice::from_ref(&accepted)), [(Law::Kept, "an accepted delivery is lost")]);
    assert_eq!(broken(&[accepted.clone(), made(1)]), [(Law::Kept, "it never came to an end")]);
    assert!(check_so_far(&[accepted.clone(), made(1)]).holds(), "it may still end");
    let other = Record::Ended { job: job(2) };
    assert_eq!(
        broken(&[accepted.clone(), made(1), ended(), made(2), other.clone()]),
        [(Law::Kept, "one delivery is several jobs")]
    );
    assert_eq!(
        broken(&[accepted.clone(), made(2), other]),
        [(Law::Kept, "the answer names another job than the delivery became")]
    );
    assert_eq!(
        broken(&[accepted, sent(Sight::Accepted(job(2))), made(1), ended()]),
        [(Law::Kept, "a repeated delivery was answered with another job")]
    );
}

#[test]
fn a_delivery_that_nobody_accepted_is_there_once_at_most() {
    assert!(broken(&[sent(Sight::Unavailable)]).is_empty());
    assert!(broken(&[sent(Sight::Unanswered), made(1), ended()]).is_empty());
    let twice = [sent(Sight::Unavailable), made(1), ended(), made(2), Record::Ended { job: job(2) }];
    assert_eq!(broken(&twice), [(Law::Unaccepted, "one delivery is several jobs")]);
}

#[test]
fn only_the_claim_that_stands_may_write() {
    let gone = (Law::Once, "an attempt whose lease was gone wrote");
    let begun = [made(1), claimed(1, 1), swept(1, false), claimed(2, 1)];
    let with = |more: &[Record]| broken(&[&begun[..], more].concat());
    assert_eq!(with(&[finished(1, Came::Ended), ended()]), [gone]);
    assert_eq!(with(&[effect(Some(1), "k"), finished(2, Came::Ended), ended()]), [gone]);
    assert!(with(&[effect(None, "k"), finished(2, Came::Ended), ended()]).is_empty(), "outside no lease is known");
    let shown = &check_so_far(&[&begun[..], &[finished(1, Came::Burned)]].concat()).violations[0];
    assert_eq!(shown.records, [claimed(1, 1), swept(1, false), claimed(2, 1), finished(1, Came::Burned)]);
}

#[test]
fn a_job_is_held_by_one_and_completed_once() {
    assert_eq!(
        broken(&[made(1), claimed(1, 1), claimed(2, 1), ended()]),
        [(Law::Once, "an attempt began while another held the job")]
    );
    assert_eq!(broken(&[made(1), ended(), claimed(1, 1)]), [(Law::Once, "an attempt began after the end")]);
    assert_eq!(broken(&[made(1), ended(), ended()]), [(Law::Once, "it was completed more than once")]);
}

#[test]
fn an_effect_arrives_under_one_key_and_takes_effect_once() {
    let twice = [made(1), effect(None, "k"), effect(None, "k"), ended()];
    assert_eq!(broken(&twice), [(Law::Once, "an effect took effect more than once")]);
    let known =
        Record::Effect { job: job(1), name: "post".to_owned(), key: "other".to_owned(), token: None, took: false };
    assert_eq!(
        broken(&[made(1), effect(None, "k"), known, ended()]),
        [(Law::Once, "an effect arrived under several keys")]
    );
}

#[test]
fn attempts_stay_within_the_limit_and_the_budget_of_crashes() {
    let beyond = (Law::Bounded, "an attempt beyond the limit began");
    assert_eq!(broken(&[made(1), claimed(1, 3), finished(1, Came::Ended), ended()]), [beyond]);
    let times = |n: i64, each: &dyn Fn(i64) -> [Record; 2]| {
        let lives: Vec<Record> = (1..=n).flat_map(each).collect();
        broken(&[&[made(1)], &lives[..], &[ended()]].concat())
    };
    let given_back = |token| [claimed(token, 1), finished(token, Came::GivenBack)];
    assert!(times(100, &given_back).is_empty(), "what is given back is free");
    let burned = |token| [claimed(token, 1), finished(token, Came::Burned)];
    assert!(times(5, &burned).is_empty());
    assert_eq!(times(6, &burned), [(Law::Bounded, "more attempts than its limit and its budget of crashes")]);
    let died = |token| [claimed(token, 1), swept(token, true)];
    assert!(times(4, &died).is_empty(), "the first in company");
    assert_eq!(times(5, &died), [(Law::Bounded, "it died more often than its budget of crashes")]);
    let only_away = |token| [swept(token, true), Record::Cleared { job: job(1), token }];
    let cleared = |token: i64| [claimed(token, 1)].into_iter().chain(only_away(token)).collect::<Vec<_>>();
    let lives: Vec<Record> = (1..=9).flat_map(cleared).collect();
    assert!(broken(&[&[made(1)], &lives[..], &[ended()]].concat()).is_empty(), "blame taken back is free");
}
