//! The page `docs/benchmarks.md` and its charts, made from the JSON of a run and nothing else: no number on it is typed.

mod charts;
mod figures;
mod text;

use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use self::{
    charts::{bars, lines},
    figures::{bars_of, circumstances, latencies, participants, rates_of, tuples_of},
};
use crate::{engine::Faults, figure::Figure, steady::Course};

/// One chart: file name, what a reader who doesn't see it is told, and the SVG.
struct Chart {
    name: &'static str,
    says: &'static str,
    svg: String,
}

/// Writes the page and its charts into `folder`.
pub(crate) fn write(json: &Path, folder: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(json).with_context(|| format!("read {}", json.display()))?;
    let report: Value = serde_json::from_str(&text).with_context(|| format!("{} isn't a report", json.display()))?;
    let courses: Vec<Course> = serde_json::from_value(report["steady"].clone()).context("steady")?;
    // A report of before they were measured has none.
    let faults: Option<Vec<Faults>> = serde_json::from_value(report["faults"].clone()).context("faults")?;
    let charts = draw(&report, &courses)?;
    let charts_folder = folder.join("benchmarks");
    std::fs::create_dir_all(&charts_folder).with_context(|| format!("make {}", charts_folder.display()))?;
    for chart in &charts {
        std::fs::write(charts_folder.join(format!("{}.svg", chart.name)), &chart.svg)?;
    }
    let page = text::page(&report, &courses, &faults.unwrap_or_default(), &charts)?;
    std::fs::write(folder.join("benchmarks.md"), page)?;
    Ok(())
}

fn draw(report: &Value, courses: &[Course]) -> anyhow::Result<Vec<Chart>> {
    let everybody = participants(report);
    let (busy, beside_idle): (Vec<&Course>, Vec<&Course>) =
        courses.iter().partition(|course| !is_about_idle(course, courses));
    let all = [
        ("drain", "no-op jobs drained per second", bars(&bars_of(&everybody, Figure::DrainNoop), "jobs/s")?),
        ("circumstances", "the engine's drain under circumstances", bars(&circumstances(report), "jobs/s")?),
        (
            "enqueue",
            "jobs enqueued per second in batches of 500",
            bars(&bars_of(&everybody, Figure::EnqueueBatch), "jobs/s")?,
        ),
        ("latency", "milliseconds from enqueue to start at 100 jobs/s", bars(&latencies(&everybody), "ms")?),
        ("steady", "jobs in and out per second over the minutes", lines(&rates_of(&busy), "jobs/s")?),
        ("dead_tuples", "dead tuples over the minutes", lines(&tuples_of(&busy), "dead tuples")?),
        (
            "idle_transaction",
            "jobs in and out per second beside an idle transaction",
            lines(&rates_of(&beside_idle), "jobs/s")?,
        ),
    ];
    // What wasn't measured isn't drawn.
    Ok(all.into_iter().filter_map(|(name, says, svg)| Some(Chart { name, says, svg: svg? })).collect())
}

/// Whether a course belongs to the pair without and with an idle transaction rather than to the long ones.
fn is_about_idle(course: &Course, courses: &[Course]) -> bool {
    courses.iter().any(|other| other.idle_transaction && other.on_top_of == course.on_top_of && other.who == course.who)
}
