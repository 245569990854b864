//! Every statement of the floor, in one place: bare SQL that writes the rows and columns that the engine writes for a job
//! that is done at once. Change it together with the tables; nothing else here knows them.

/// The statements of one table design.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statements {
    /// Enqueues the payloads `$1`.
    pub(crate) enqueue: &'static str,
    /// Leases up to 500 jobs; answers with token, key, attempt and payload of each.
    pub(crate) claim: &'static str,
    /// Ends the jobs `$2` with the attempts `$3` of the lease `$1`; answers how many. None when the lease is gone.
    pub(crate) finish: &'static str,
}

/// The engine's own tables.
pub(crate) const ENGINE_TABLES: Statements = Statements {
    enqueue: "with body as (
            insert into vtoc.job_body (id, queue, kind, attempts_max, payload)
            select (floor(extract(epoch from clock_timestamp()) / 86400)::bigint << 40) | nextval('vtoc.job_id'), 'default', 'noop', 25, payload
            from unnest($1::jsonb[]) as u (payload)
            returning id, enqueued_at
        )
        insert into vtoc.job_ready (id, queue, kind, priority, run_at, due, keyed, attempts_max)
        select id, 'default', 'noop', 0, enqueued_at, true, false, 25
        from body",
    claim: "with picked as (
            select ctid
            from vtoc.job_ready
            where queue = 'default' and (case when station_id is null then 0 else station_id end) = 0 and due and not suspect
            order by priority desc, run_at, id
            limit 500
            for update skip locked
        ),
        taken as (
            delete from vtoc.job_ready
            where ctid = any(array(select ctid from picked))
            returning id, attempt
        ),
        lease as (
            insert into vtoc.job_lease (token, worker_id, lease_until, started_at, suspect, ids, attempts)
            select nextval('vtoc.lease_token'), '00000000-0000-0000-0000-000000000001', clock_timestamp() + interval '30 s', clock_timestamp(),
                false, array_agg(id), array_agg((attempt + 1)::smallint)
            from taken
            having count(*) > 0
            returning token
        )
        select lease.token, taken.id, (taken.attempt + 1)::smallint as attempt, body.payload
        from taken
        cross join lease
        join vtoc.job_body body on body.id = taken.id",
    finish: "with gone as (
            delete from vtoc.job_lease
            where token = $1
            returning worker_id, started_at
        ),
        history as (
            insert into vtoc.job_finished (expires_at, id, state, queue, kind, attempt, started_at, finished_at, worker_id)
            select now.at + interval '24 h', u.id, 'done', 'default', 'noop', u.attempt, gone.started_at, now.at, gone.worker_id
            from unnest($2::bigint[], $3::smallint[]) as u (id, attempt)
            cross join gone
            cross join (select clock_timestamp() as at) now
            returning 1
        )
        select count(*) from history",
};

/// One table whose rows are updated in place, as most queues have it.
pub(crate) const ONE_TABLE: Statements = Statements {
    enqueue: "insert into one.job (queue, kind, payload) select 'default', 'noop', payload from unnest($1::jsonb[]) as u (payload)",
    claim: "with picked as (
            select id
            from one.job
            where queue = 'default' and state = 'ready' and run_at <= now()
            order by priority desc, run_at, id
            limit 500
            for update skip locked
        ),
        lease as materialized (
            select nextval('one.token') as token
        )
        update one.job j
        set state = 'running', attempt = j.attempt + 1, token = lease.token, worker_id = '00000000-0000-0000-0000-000000000001',
            lease_until = clock_timestamp() + interval '30 s', started_at = clock_timestamp()
        from picked
        cross join lease
        where j.id = picked.id
        returning j.token, j.id, j.attempt, j.payload",
    // Without a test of the state: beside the partial indexes it has been seen to go quadratic.
    finish: "with gone as (
            update one.job j
            set state = 'done', lease_until = null, finished_at = clock_timestamp()
            from unnest($2::bigint[], $3::smallint[]) as u (id, attempt)
            where j.id = u.id and j.token = $1 and j.attempt = u.attempt
            returning 1
        )
        select count(*) from gone",
};

/// Makes the one table: the columns of all the engine's tables, and an index for each state.
pub(crate) const MAKE_ONE_TABLE: &str = "create schema one;
    create sequence one.token;
    create table one.job (
        id bigint generated always as identity primary key,
        queue text not null,
        kind text not null,
        station_id bigint,
        priority smallint not null default 0,
        state text not null default 'ready',
        run_at timestamptz not null default clock_timestamp(),
        attempt smallint not null default 0,
        attempts_max smallint not null default 25,
        token bigint,
        worker_id uuid,
        lease_until timestamptz,
        started_at timestamptz,
        finished_at timestamptz,
        output jsonb,
        error text,
        payload jsonb not null
    ) with (fillfactor = 75);
    create index on one.job (queue, priority desc, run_at, id) where state = 'ready';
    create index on one.job (lease_until) where state = 'running';
    create index on one.job (finished_at) where state = 'done'";

/// Fills it with `$1` finished jobs and as many pending ones, of payload `$2`.
pub(crate) const FILL_ONE_TABLE: &str = "insert into one.job (queue, kind, state, attempt, token, started_at, finished_at, payload)
    select 'default', 'noop', case when n <= $1 then 'done' else 'ready' end, (n <= $1)::int, case when n <= $1 then 0 end,
        case when n <= $1 then clock_timestamp() end, case when n <= $1 then clock_timestamp() end, $2
    from generate_series(1, 2 * $1) n";
