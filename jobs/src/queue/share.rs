//! What each station has had of a queue: seconds of workers, by its weight. Processes report now and then what their jobs took, for
//! all of them at once, and hear what all processes together came to.

use crate::{Database, Error, Scope, StationId};

/// What a station has had of a queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Had {
    /// The queue.
    pub queue: String,
    /// Whose jobs; none are the fleet's.
    pub station: Option<StationId>,
    /// Seconds of workers by the station's weight.
    pub had: f64,
}

/// What a process reports of one station's jobs in one queue.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The queue.
    pub queue: String,
    /// Whose jobs; none are the fleet's.
    pub station: Option<StationId>,
    /// What it has had at least: it came back when others had had so much.
    pub floor: f64,
    /// What it had more since the last report; less than nothing when jobs took less time than was thought.
    pub more: f64,
}

/// Adds `reports` to what is known, and answers with all that is known of `queues`.
///
/// # Errors
/// [`Error::Unavailable`]: nothing is known to be added.
pub async fn report(database: &Database, queues: &[String], reports: &[Report]) -> Result<Vec<Had>, Error> {
    let mut reports: Vec<&Report> = reports.iter().collect();
    // Every process in one order, so that none waits for another in a circle.
    reports.sort_by(|a, b| (&a.queue, a.station).cmp(&(&b.queue, b.station)));
    let queue: Vec<&str> = reports.iter().map(|report| report.queue.as_str()).collect();
    let station: Vec<i64> = reports.iter().map(|report| report.station.map_or(0, |station| station.0)).collect();
    let floor: Vec<f64> = reports.iter().map(|report| report.floor).collect();
    let more: Vec<f64> = reports.iter().map(|report| report.more).collect();
    database
        .bounded(async {
            let mut tx = database.begin(Scope::Fleet).await?;
            let rows = sqlx::query!(
                r#"with told as (
                    insert into vtoc.share as s (queue, station_id, had)
                    select queue, station_id, least(greatest(floor + more, 0), 1e15)
                    from unnest($2::text[], $3::bigint[], $4::float8[], $5::float8[]) with ordinality as u (queue, station_id, floor, more, place)
                    order by place
                    on conflict (queue, station_id) do update
                    set had = least(greatest(greatest(s.had, (
                            select u.floor
                            from unnest($2::text[], $3::bigint[], $4::float8[]) as u (queue, station_id, floor)
                            where u.queue = s.queue and u.station_id = s.station_id
                        )) + (
                            select u.more
                            from unnest($2::text[], $3::bigint[], $5::float8[]) as u (queue, station_id, more)
                            where u.queue = s.queue and u.station_id = s.station_id
                        ), 0), 1e15)
                    returning queue, station_id, had
                )
                select queue as "queue!", station_id as "station_id!", had as "had!" from told
                union all
                select s.queue, s.station_id, s.had
                from vtoc.share s
                where s.queue = any($1) and not exists (select from told where told.queue = s.queue and told.station_id = s.station_id)"#,
                queues,
                &queue as &[&str],
                &station,
                &floor,
                &more
            )
            .fetch_all(&mut *tx)
            .await?;
            tx.commit().await?;
            let station = |id: i64| (id != 0).then_some(StationId(id));
            Ok(rows.into_iter().map(|row| Had { queue: row.queue, station: station(row.station_id), had: row.had }).collect())
        })
        .await
}
