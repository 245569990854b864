//! A run: commands become calls, each side performs them, and after each call the sides must have answered alike and look
//! alike. In the end everything is brought to rest and each side's own history goes before the laws.

use jobs::laws::{Record, Report, check};

use super::{
    call::{Answer, Call, Came, Queue, Seen},
    commands::Command,
    crew::Crew,
    history::records,
};

/// A side of a run, with what it has done so far.
struct Side<'a> {
    queue: &'a mut dyn Queue,
    seen: Seen,
    history: Vec<Record>,
}

/// Performs the commands on every side. Answers with what the laws say of each side's history.
///
/// # Errors
/// How the sides differ, and after which call.
pub(crate) fn run(commands: &[Command], queues: Vec<&mut dyn Queue>) -> Result<Vec<Report>, String> {
    let mut sides: Vec<Side<'_>> =
        queues.into_iter().map(|queue| Side { queue, seen: Seen::default(), history: Vec::new() }).collect();
    let (mut crew, starts) = Crew::new();
    for call in starts {
        step(&call, &mut crew, &mut sides)?;
    }
    for command in commands {
        for call in crew.calls(command) {
            step(&call, &mut crew, &mut sides)?;
        }
    }
    rest(&mut crew, &mut sides)?;
    Ok(sides.iter().map(|side| check(&side.history)).collect())
}

/// One call on every side; the workers hear the first side's answer.
fn step(call: &Call, crew: &mut Crew, sides: &mut [Side<'_>]) -> Result<Answer, String> {
    let mut first: Option<(Answer, Vec<Record>, &Seen)> = None;
    for side in sides {
        let answer = match (call, &first) {
            (Call::ClaimSuspect { process, .. }, Some((Answer::Claimed { attempts, .. }, ..))) => {
                let among_equals = attempts.keys().next().copied();
                side.queue.perform(&Call::ClaimSuspect { process: *process, among_equals })
            }
            _ => side.queue.perform(call),
        };
        let after = side.queue.seen();
        let news = records(call, &answer, &side.seen, &after);
        side.history.extend(news.iter().cloned());
        side.seen = after;
        match &first {
            None => first = Some((answer, news, &side.seen)),
            Some((theirs, _, _)) if *theirs != answer => {
                return Err(format!("{call:?} was answered with {theirs:?}\n  and by the second with {answer:?}"));
            }
            Some((_, _, theirs)) if **theirs != side.seen => {
                return Err(format!("after {call:?} the second has {:?}\n  and the first {theirs:?}", side.seen));
            }
            Some((_, theirs, _)) if *theirs != news => {
                return Err(format!("{call:?} is recorded as {theirs:?}\n  and by the second as {news:?}"));
            }
            Some(_) => {}
        }
    }
    let (answer, ..) = first.expect("a run has a side");
    crew.hear(call, &answer);
    Ok(answer)
}

/// Brings everything to its end: leases run out, and what is claimed then is done.
fn rest(crew: &mut Crew, sides: &mut [Side<'_>]) -> Result<(), String> {
    for call in crew.close() {
        step(&call, crew, sides)?;
    }
    for claim in crew.last_claims() {
        while let Answer::Claimed { token, attempts } = step(&claim, crew, sides)? {
            let results = attempts.keys().map(|job| (*job, token, Came::Done)).collect();
            step(&Call::Finish { results }, crew, sides)?;
        }
    }
    Ok(())
}
