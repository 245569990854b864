//! The report for people.

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use super::ratios;
use crate::{
    engine::Faults,
    figure::Figure,
    record::{Record, Spread},
    steady::Course,
};

/// Everything, one table under another.
pub(crate) fn tables(record: &Record, courses: &[Course]) -> String {
    let mut shown = vec![figures(record).to_string(), targets(record).to_string()];
    if !record.faults.is_empty() {
        shown.push(faults(&record.faults).to_string());
    }
    if !courses.is_empty() {
        shown.push(steady(courses).to_string());
    }
    shown.join("\n")
}

fn figures(record: &Record) -> Table {
    let mut table =
        with_header(["figure", "", "median", "least", "most", "unit", "of the floor", "least", "most", "n"]);
    let participants = record.participants();
    for figure in Figure::ALL {
        for who in &participants {
            let Some(spread) = record.spread(figure, who) else { continue };
            let show = |value| figure.unit().show(value);
            let ratio = record.of_floor(figure, who).map_or([const { String::new() }; 3], shown);
            let mut cells = vec![Cell::new(figure.title()), Cell::new(who)];
            cells.extend([spread.median, spread.least, spread.most].map(|value| right(show(value))));
            cells.push(Cell::new(figure.unit().sign()));
            cells.extend(ratio.map(right));
            cells.push(right(spread.count.to_string()));
            table.add_row(cells);
        }
    }
    table
}

fn targets(record: &Record) -> Table {
    let mut table = with_header(["ratio of the engine, pair by pair", "median", "least", "most", "n"]);
    for (_, sentence, spread) in ratios(record) {
        let mut cells = vec![Cell::new(sentence)];
        cells.extend(shown(spread).map(right));
        cells.push(right(spread.count.to_string()));
        table.add_row(cells);
    }
    table
}

fn faults(faults: &[Faults]) -> Table {
    let header = [
        "under faults, jobs/s",
        "s",
        "killed",
        "stopped",
        "attempts crashed",
        "given up",
        "results refused",
        "jobs taken up again",
    ];
    let mut table = with_header(header);
    for drain in faults {
        let counts = [drain.killed, drain.stopped, drain.crashed, drain.given_up, drain.refused, drain.again];
        let values = [format!("{:.0}", drain.per_s), format!("{:.1}", drain.elapsed_s)];
        table.add_row(values.into_iter().chain(counts.map(|count| count.to_string())).map(right));
    }
    table
}

fn steady(courses: &[Course]) -> Table {
    let header = [
        "in and out",
        "min",
        "on top of",
        "idle tx",
        "out/s",
        "last third : first",
        "dead tuples, most",
        "size at the end",
    ];
    let mut table = with_header(header);
    for course in courses {
        let bytes = course.samples.last().map_or(0, |sample| sample.bytes());
        let mut cells = vec![Cell::new(course.who)];
        let idle = if course.idle_transaction { "yes" } else { "no" };
        let values = [
            format!("{:.1}", course.minutes),
            course.on_top_of.to_string(),
            idle.to_owned(),
            format!("{:.0}", course.finished_per_s),
            course.last_third_of_first.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            course.dead_tuples_most.to_string(),
            format!("{} MB", bytes / 1_000_000),
        ];
        cells.extend(values.map(right));
        table.add_row(cells);
    }
    table
}

fn with_header<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn shown(ratio: Spread) -> [String; 3] {
    [ratio.median, ratio.least, ratio.most].map(|value| format!("{value:.2}"))
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
