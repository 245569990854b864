//! The words and tables of the page.

use std::fmt::Write;

use serde_json::Value;

use super::{
    Chart,
    figures::{Participant, participants},
};
use crate::{
    engine::Faults,
    figure::{Figure, Unit},
    steady::Course,
};

/// Figures that peers have too.
const COMPARED: [Figure; 9] = [
    Figure::DrainNoop,
    Figure::DrainNoop50,
    Figure::Drain1Ms,
    Figure::Drain1Ms50,
    Figure::EnqueueBatch,
    Figure::EnqueueSingle,
    Figure::StartLatencyP50,
    Figure::StartLatencyP99,
    Figure::DrainMemory,
];

/// The whole page.
pub(super) fn page(report: &Value, courses: &[Course], faults: &[Faults], charts: &[Chart]) -> anyhow::Result<String> {
    let mut page = String::new();
    introduce(&mut page, report)?;
    show(&mut page, charts, "drain")?;
    ratios(&mut page, report)?;
    engine(&mut page, report)?;
    show(&mut page, charts, "circumstances")?;
    under_faults(&mut page, faults)?;
    compared(&mut page, report)?;
    show(&mut page, charts, "enqueue")?;
    show(&mut page, charts, "latency")?;
    lacks(&mut page, report)?;
    published(&mut page, report)?;
    steady(&mut page, courses)?;
    for name in ["steady", "dead_tuples", "idle_transaction"] {
        show(&mut page, charts, name)?;
    }
    Ok(page)
}

fn introduce(page: &mut String, report: &Value) -> anyhow::Result<()> {
    let (machine, postgres) = (&report["machine"], &report["postgres"]);
    write!(
        page,
        "# Benchmarks\n\nMade by `scripts/bench --json FILE` and `vtoc-bench page FILE`; every number is from one run: {} interleaved pairs of \
        {} jobs, each run on a fresh database, every commit durable, the clock stopped when the database said that all was done.\n\n\
        Machine: {}, {} cores shared by client and server, {} GiB. PostgreSQL {}: fsync {}, synchronous_commit {}, shared_buffers {}, \
        max_wal_size {}.\n\nThe floor is bare SQL on the engine's own tables: batches of 500, two connections, the same columns and \
        history, no engine. Ratios are taken within each pair; the tables give median (least to most). A backlog or a long history is \
        {} jobs.\n\n",
        report["pairs"],
        report["jobs"],
        word(&machine["processor"]),
        machine["cores"],
        machine["memory_gib"],
        word(&postgres["version"]),
        word(&postgres["fsync"]),
        word(&postgres["synchronous_commit"]),
        word(&postgres["shared_buffers"]),
        word(&postgres["max_wal_size"]),
        report["backlog"],
    )?;
    Ok(())
}

fn ratios(page: &mut String, report: &Value) -> anyhow::Result<()> {
    page.push_str(
        "## Ratios\n\n| the engine's, pair by pair | median | least | most | pairs |\n|---|---:|---:|---:|---:|\n",
    );
    for (name, sentence) in crate::report::RATIOS {
        let ratio = &report["ratios"][name];
        if let [Some(median), Some(least), Some(most)] = ["median", "least", "most"].map(|key| ratio[key].as_f64()) {
            writeln!(page, "| {sentence} | {median:.2} | {least:.2} | {most:.2} | {} |", ratio["count"])?;
        }
    }
    page.push('\n');
    Ok(())
}

fn engine(page: &mut String, report: &Value) -> anyhow::Result<()> {
    page.push_str("## The engine\n\n| | engine | floor | of the floor |\n|---|---:|---:|---:|\n");
    for figure in Figure::ALL {
        let Some(engine) = cell(&report["engine"], figure) else { continue };
        let floor = figure.floor().and_then(|floor| cell(&report["floor"], floor)).unwrap_or_default();
        let ratio = &report["engine"][format!("{}_of_floor", figure.name())]["median"];
        let ratio = ratio.as_f64().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        writeln!(page, "| {}, {} | {engine} | {floor} | {ratio} |", figure.title(), figure.unit().sign())?;
    }
    page.push('\n');
    Ok(())
}

fn under_faults(page: &mut String, faults: &[Faults]) -> anyhow::Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    page.push_str(
        "## Under faults\n\nFour worker processes with leases of 3 s and jobs of a millisecond. Every 1.5 s one is killed (SIGKILL) with jobs in \
        flight and replaced; another is stopped for 5 s again and again, so that what it had done by then is refused when it goes on. After each \
        drain every job was done and was on record once, or there would be no figure. Jobs that were in a process when it died run again once \
        its lease has run out, one at a time in a process of their own when the dead one is to blame: that is most of what a fault costs.\n\n\
        | jobs/s | s | killed | stopped | attempts crashed | attempts given up | results refused | jobs taken up again |\n\
        |---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for drain in faults {
        let counts = [drain.killed, drain.stopped, drain.crashed, drain.given_up, drain.refused, drain.again];
        let counts = counts.map(|count| Unit::JobsPerSecond.show(count as f64)).join(" | ");
        writeln!(page, "| {} | {:.1} | {counts} |", Unit::JobsPerSecond.show(drain.per_s), drain.elapsed_s)?;
    }
    page.push('\n');
    Ok(())
}

fn compared(page: &mut String, report: &Value) -> anyhow::Result<()> {
    let everybody = participants(report);
    let has = |figure: &Figure| everybody.iter().filter(|who| cell(who.figures, *figure).is_some()).count() > 2;
    let figures: Vec<Figure> = COMPARED.into_iter().filter(has).collect();
    if figures.is_empty() {
        return Ok(());
    }
    page.push_str(
        "## Beside its peers\n\nEach peer at the best settings that its documentation gives, and as it comes.\n\n|",
    );
    for figure in &figures {
        write!(page, " | {}, {}", figure.title(), figure.unit().sign())?;
    }
    writeln!(page, " |\n|---{}|", "|---:".repeat(figures.len()))?;
    for Participant { label, figures: values, .. } in &everybody {
        let cells: Vec<String> = figures.iter().map(|figure| cell(values, *figure).unwrap_or_default()).collect();
        writeln!(page, "| {label} | {} |", cells.join(" | "))?;
    }
    page.push('\n');
    Ok(())
}

fn lacks(page: &mut String, report: &Value) -> anyhow::Result<()> {
    let Some(peers) = report["peers"].as_object().filter(|peers| !peers.is_empty()) else { return Ok(()) };
    page.push_str("What the peers leave out that the engine does in these figures:\n\n| peer | version | leaves out |\n|---|---|---|\n");
    for (name, peer) in peers {
        writeln!(page, "| {name} | {} | {} |", word(&peer["version"]), word(&peer["lacks"]))?;
    }
    page.push('\n');
    Ok(())
}

fn published(page: &mut String, report: &Value) -> anyhow::Result<()> {
    let Some(figures) = report["published"].as_array().filter(|figures| !figures.is_empty()) else { return Ok(()) };
    page.push_str(
        "Peers that no registry here carries, with the figures that were **published, not measured by us**: other machines, other \
        durability and other loads, comparable with no row above.\n\n| peer | published, jobs/s | of what | where |\n|---|---:|---|---|\n",
    );
    for figure in figures {
        let per_s = Unit::JobsPerSecond.show(figure["per_s"].as_f64().unwrap_or_default());
        let (name, what, source) = (word(&figure["name"]), word(&figure["what"]), word(&figure["source"]));
        writeln!(page, "| {name} | {per_s} | {what} | <{source}> |")?;
    }
    page.push('\n');
    Ok(())
}

fn steady(page: &mut String, courses: &[Course]) -> anyhow::Result<()> {
    if courses.is_empty() {
        return Ok(());
    }
    page.push_str(
        "## In and out together\n\nA producer kept in step with whoever drains, on top of a backlog and a history of the given size each.\n\n\
        | | minutes | on top of | idle transaction | out/s | last third by first | dead tuples at most | tables at the end, MB |\n\
        |---|---:|---:|---|---:|---:|---:|---:|\n",
    );
    for course in courses {
        let idle = if course.idle_transaction { "yes" } else { "no" };
        let megabytes = course.samples.last().map_or(0, |sample| sample.bytes()) / 1_000_000;
        writeln!(
            page,
            "| {} | {:.1} | {} | {idle} | {} | {} | {} | {megabytes} |",
            course.who,
            course.minutes,
            Unit::JobsPerSecond.show(course.on_top_of as f64),
            Unit::JobsPerSecond.show(course.finished_per_s),
            course.last_third_of_first.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            Unit::JobsPerSecond.show(course.dead_tuples_most as f64),
        )?;
    }
    page.push('\n');
    Ok(())
}

fn show(page: &mut String, charts: &[Chart], name: &str) -> anyhow::Result<()> {
    if let Some(chart) = charts.iter().find(|chart| chart.name == name) {
        writeln!(page, "![{}](benchmarks/{name}.svg)\n", chart.says)?;
    }
    Ok(())
}

fn cell(figures: &Value, figure: Figure) -> Option<String> {
    let spread = &figures[format!("{}_spread", figure.name())];
    let values = [&figures[figure.name()], &spread[0], &spread[1]].map(Value::as_f64);
    let [Some(median), Some(least), Some(most)] = values.map(|value| value.map(|value| figure.unit().show(value)))
    else {
        return None;
    };
    Some(format!("{median} ({least} to {most})"))
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Faults, page};

    #[test]
    fn every_number_of_the_page_is_from_the_report() {
        let report = json!({
            "machine": { "processor": "a processor", "cores": 2, "memory_gib": 23 },
            "postgres": { "version": "15.18", "fsync": "on", "synchronous_commit": "on", "shared_buffers": "128MB", "max_wal_size": "1GB" },
            "jobs": 100_000, "backlog": 1_000_000, "pairs": 10,
            "engine": { "drain_noop_per_s": 61_234.0, "drain_noop_per_s_spread": [50_000.0, 70_000.0], "drain_noop_per_s_of_floor": { "median": 0.61 } },
            "floor": { "drain_noop_per_s": 100_000.0, "drain_noop_per_s_spread": [90_000.0, 110_000.0] },
            "peers": { "somebody": { "version": "1.2.3", "lacks": "fencing", "best": { "drain_noop_per_s": 30_000.0, "drain_noop_per_s_spread": [29_000.0, 31_000.0] } } },
            "ratios": { "drain_of_floor": { "median": 0.61, "least": 0.5, "most": 0.7, "count": 10 } },
            "published": [{ "name": "elsewhere", "per_s": 46_000, "what": "no-ops", "source": "https://example.net/" }],
            "steady": [],
        });
        let faults = Faults {
            per_s: 4_321.0,
            elapsed_s: 23.1,
            killed: 9,
            stopped: 3,
            crashed: 1_800,
            given_up: 600,
            refused: 601,
            again: 2_300,
        };
        let page = page(&report, &[], &[faults], &[]).unwrap();
        for expected in [
            "| 61,234 (50,000 to 70,000) | 100,000 (90,000 to 110,000) | 0.61 |",
            "| 0.61 | 0.50 | 0.70 | 10 |",
            "| 4,321 | 23.1 | 9 | 3 | 1,800 | 600 | 601 | 2,300 |",
            "| somebody | 1.2.3 | fencing |",
            "| elsewhere | 46,000 | no-ops | <https://example.net/> |",
            "| somebody | 30,000 (29,000 to 31,000) |",
        ] {
            assert!(page.contains(expected), "{expected} is missing in\n{page}");
        }
    }
}
