//! Schedules as a terminal shows them.

use chrono::{DateTime, Utc};
use comfy_table::{Table, presets::NOTHING};
use jobs::schedules::{ScheduleView, Tick};

/// One line a schedule.
pub(super) fn table(views: &[ScheduleView]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(["NAME", "STATE", "FOR", "EXPRESSION", "ZONE", "KIND", "NEXT", "LAST"]);
    for view in views {
        table.add_row([
            view.name.clone(),
            view.state.to_owned(),
            whom(view),
            view.expression.clone(),
            view.time_zone.clone(),
            view.kind.clone(),
            view.next.first().map(|tick| moment(tick.run_at)).unwrap_or_default(),
            view.last_tick_at.map(moment).unwrap_or_default(),
        ]);
    }
    table
}

/// Everything about one.
pub(super) fn card(view: &ScheduleView) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let state = view.ended.as_ref().map_or_else(|| view.state.to_owned(), |why| format!("{}: {why}", view.state));
    let ticks: Vec<String> = view.next.iter().map(tick).collect();
    table.add_row(["name", &view.name]);
    table.add_row(["state", &state]);
    table.add_row(["for", &whom(view)]);
    table.add_row([
        "when",
        &format!("{} in {}, jitter {}, missed {}", view.expression, view.time_zone, view.jitter, view.missed),
    ]);
    table.add_row([
        "job",
        &format!("{} on {}, priority {}, {} attempts", view.kind, view.queue, view.priority, view.attempts_max),
    ]);
    table.add_row(["payload", &view.payload.to_string()]);
    table.add_row(["last tick", &view.last_tick_at.map(moment).unwrap_or_default()]);
    table.add_row(["last job", &view.last_job_id.map(|id| id.to_string()).unwrap_or_default()]);
    table.add_row(["next ticks", &ticks.join("\n")]);
    table
}

/// A tick, and when its job is enqueued where that is later.
fn tick(tick: &Tick) -> String {
    if tick.at == tick.run_at {
        moment(tick.at)
    } else {
        format!("{} (job at {})", moment(tick.at), tick.run_at.format("%T"))
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%F %TZ").to_string()
}

fn whom(view: &ScheduleView) -> String {
    view.station.clone().unwrap_or_else(|| "the fleet".to_owned())
}
