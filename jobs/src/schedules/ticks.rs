//! The ticks of cron fields in a time zone, across its changes of the clock. A local time that is skipped ticks once, at the
//! first instant after the gap; one that comes twice ticks at the first of the two. Pure: what time it is is passed in.

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

use super::fields::Fields;

/// The first tick after `after`; none when there is none until 2100.
pub(super) fn next_after(fields: &Fields, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut local = after.with_timezone(&zone).naive_local();
    // Later local times are never earlier instants, so the first that comes after is the next.
    loop {
        local = fields.next_after(local)?;
        if let Some(tick) = instant(local, zone)
            && tick > after
        {
            return Some(tick);
        }
    }
}

/// When `zone` shows `local` first, or where it would have shown it.
fn instant(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let shown = zone.from_local_datetime(&local).earliest();
    shown.or_else(|| GapInfo::new(&local, &zone)?.end).map(|at| at.to_utc())
}
