//! What cron fields mean, as croniter sees it: `fixtures/PROVENANCE.md` says how the answers were got.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::timetable;

#[derive(Deserialize)]
struct Golden {
    expression: String,
    after: DateTime<Utc>,
    next: Vec<DateTime<Utc>>,
}

#[test]
fn cron_fields_mean_what_they_mean_to_an_oracle() {
    let goldens: Vec<Golden> = serde_json::from_str(include_str!("../../../fixtures/cron_ticks.json")).unwrap();
    assert!(goldens.len() > 350 && goldens.iter().any(|golden| golden.next.len() < 8));
    for Golden { expression, after, next } in goldens {
        let ticks = timetable(&expression, "UTC").upcoming(after, next.len());
        assert_eq!(ticks.iter().map(|tick| tick.at).collect::<Vec<_>>(), next, "{expression} after {after}");
    }
}
