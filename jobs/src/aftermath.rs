//! What follows when a job ends without success: the run it carried and the audit it answers for end too, in the same
//! transaction, so that nobody waits for an action that will never come.

use uuid::Uuid;

use crate::{Error, JobId, database::Line};

/// Ends runs and audits of jobs that have just finished dead or cancelled: their keys, and why. The transaction must be in fleet scope.
pub(crate) async fn of(tx: &mut Line, ended: &[(i64, String)]) -> Result<(), Error> {
    let (keys, why): (Vec<i64>, Vec<&str>) = ended.iter().map(|(key, why)| (*key, why.as_str())).unzip();
    let ended = sqlx::query!(
        r#"select j.id as "id!", j.enqueued_at as "enqueued_at!", j.station_id, coalesce(j.payload ->> 'audit_id', l.payload ->> 'audit_id') as audit_id,
            u.error as "error!"
        from unnest($1::bigint[], $2::text[]) as u (id, error)
        cross join lateral (select * from vtoc.job where id = u.id limit 1) j
        left join lateral (select payload from vtoc.job_beside where id = j.id and j.payload ? 'vtoc:beside' limit 1) l on true"#,
        &keys,
        &why as &[&str]
    )
    .fetch_all(&mut *tx)
    .await?;
    let jobs: Vec<Uuid> = ended.iter().map(|job| JobId::new(job.id, job.enqueued_at).uuid()).collect();
    sqlx::query!(
        "update vtoc.playbook_run
        set status = 'failed', error = 'its job ended without success', finished_at = vtoc.clock()
        where job_id = any($1) and status = 'running'",
        &jobs
    )
    .execute(&mut *tx)
    .await?;
    let (mut audits, mut stations, mut errors) = (Vec::new(), Vec::new(), Vec::<String>::new());
    for job in ended {
        // Any other text is no audit's id; a job without a station answers for none.
        if let (Some(Ok(audit)), Some(station)) = (job.audit_id.map(|id| Uuid::parse_str(&id)), job.station_id) {
            audits.push(audit);
            stations.push(station);
            errors.push(job.error);
        }
    }
    sqlx::query!(
        "update vtoc.audit a
        set status = 'failed', error = coalesce(a.error, u.error), updated_at = vtoc.clock()
        from unnest($1::uuid[], $2::bigint[], $3::text[]) as u (id, station_id, error)
        where a.id = u.id and a.station_id = u.station_id and a.status in ('queued', 'running')",
        &audits,
        &stations,
        &errors
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Opens the runs of `jobs` that [`of`] ended: the jobs run again and go on behind the last step. Audits stay as they
/// ended: whoever waited for them was told.
pub(crate) async fn undone(tx: &mut Line, jobs: &[JobId]) -> Result<(), Error> {
    let jobs: Vec<Uuid> = jobs.iter().map(|job| job.uuid()).collect();
    sqlx::query!(
        "update vtoc.playbook_run
        set status = 'running', error = null, finished_at = null
        where job_id = any($1) and status = 'failed'",
        &jobs
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
