-- A queue as a busy fleet has it at noon: a million jobs that wait, a million that ended, and what belongs to them. It is always
-- noon, so that a day's share of the rows, and with it the plans, don't depend on when the tests run.
set synchronous_commit = off;
set maintenance_work_mem = '256MB';
set work_mem = '256MB';

do $$
begin
    execute format(
        'create or replace function vtoc.clock() returns timestamptz language sql volatile parallel safe
        as $c$ select clock_timestamp() + interval %L $c$',
        (now() at time zone 'UTC')::date + interval '12 hours' - now() at time zone 'UTC');
end
$$;

insert into vtoc.station (slug, callsign, role, default_channel)
select 'toc-' || n, 'TOC' || n, (array['ops', 'intel', 'logistics'])[1 + n % 3], 'toc-' || n
from generate_series(1, 8) n;
insert into vtoc.chat_channel (slug, station_id) select slug, id from vtoc.station;

insert into vtoc.worker (id, name, pid, queues, kinds, concurrency, isolated, started_at, seen_at, stopped_at)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'host-' || n % 8 || '/' || n, n, array['default', 'collect', 'chat', 'bulk'], array['run_playbook', 'collect_feed', 'post_chat', 'update_audit', 'archive_day'],
    100, false, vtoc.clock() - interval '1 hour' * (n / 20), case when n < 20 then vtoc.clock() else vtoc.clock() - interval '1 hour' * (n / 20) end,
    case when n >= 20 then vtoc.clock() - interval '1 hour' * (n / 20) end
from generate_series(0, 1999) n;

select vtoc.add_day_partition('vtoc.job_body', (vtoc.clock() at time zone 'UTC')::date - 2),
    vtoc.add_day_partition('vtoc.job_large', (vtoc.clock() at time zone 'UTC')::date - 2);
update vtoc.job_floor set id = (((vtoc.clock() at time zone 'UTC')::date - 2 - date '1970-01-01')::bigint << 40), kept_checked_on = (vtoc.clock() at time zone 'UTC')::date;

-- What each job is, by its number; two days of them, the odd ones have ended.
create temporary table job as
select n, (floor(extract(epoch from at) / 86400)::bigint << 40) | n as id, at,
    case when n % 200 in (50, 151) then 'bulk' when h < 140 then 'chat' when h < 440 then 'collect' else 'default' end as queue,
    case when h = 999 then 'not_known_here' when n % 200 in (50, 151) then 'archive_day' when h < 140 then 'post_chat' when h < 440 then 'collect_feed'
        when h < 700 then 'update_audit' else 'run_playbook' end as kind,
    case when n % 100 = 99 then null when n % 1000 < 2 then 8 when h % 10 < 5 then 1 else 1 + h % 7 end::bigint as station_id,
    (case when n % 50 < 4 then 5 when n % 50 = 4 then -5 else 0 end)::smallint as priority,
    n % 40 < 2 as keyed, n % 2 = 1 as ended,
    case when n % 100 = 7 then 'dead' when n % 200 = 33 then 'cancelled' else 'done' end as state,
    (case when n % 100 = 7 then 5 when n % 40 = 3 then 2 when n % 40 = 4 then 1 else 0 end)::smallint as attempt,
    noon - interval '0.063 seconds' * (2000000 - least(n, 2000000)) as finished_at
from (
    select n, noon, noon - interval '0.085 seconds' * (2000000 - least(n, 2000000)) as at, (hashint4(n) & 1048575) % 1000 as h
    from generate_series(1, 2204000) n, (select (vtoc.clock() at time zone 'UTC')::date::timestamp at time zone 'UTC' + interval '12 hours' as noon) c
) j;

insert into vtoc.job_body (id, enqueued_at, queue, kind, station_id, priority, attempts_max, dedupe_key, payload)
select id, at, queue, kind, station_id, priority, 25, case when keyed then 'key-' || n end, jsonb_build_object('number', n, 'channel', 'toc-' || station_id)
from job;
insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, suspect, keyed, attempt, attempts_max, awaited)
select id, queue, kind, station_id, priority, case when n % 14 = 8 then finished_at + interval '1 day' when n % 700 = 2 then finished_at else at end,
    n % 14 <> 8 and n % 700 <> 2, n % 1000 = 504, keyed, attempt, 25,
    n > 1000000 and n <= 1200006 and n % 10 in (0, 2, 4, 6)
from job
where not ended and n <= 2000000;
insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, started_at, finished_at, worker_id, output, error)
select finished_at + case state when 'done' then interval '1 day' else interval '30 days' end, id, state, queue, kind, station_id, greatest(attempt, 1), finished_at - interval '1 second', finished_at,
    ('00000000-0000-7000-8000-' || lpad((n % 20)::text, 12, '0'))::uuid, case when kind = 'collect_feed' then jsonb_build_object('stored', n) end,
    case when state <> 'done' then 'the far side refused it' end
from job
where ended and n <= 2000000;
-- Of jobs older than that only those without success are left, a month of them, their bodies copied.
create temporary table old as
select n, (floor(extract(epoch from finished_at) / 86400)::bigint << 40) | n as id, finished_at,
    case when n % 5 < 4 then 'default' else 'chat' end as queue, case when n % 5 < 4 then 'run_playbook' else 'post_chat' end as kind, 1 + n % 7 as station_id,
    case when n % 3 = 0 then 'cancelled' else 'dead' end as state
from (
    select n, date_trunc('day', vtoc.clock()) + interval '12 hours' - interval '3 days' - interval '8 seconds' * n as finished_at
    from generate_series(1, 250000) n
) o;
insert into vtoc.job_kept (id, enqueued_at, queue, kind, station_id, priority, attempts_max, payload)
select id, finished_at, queue, kind, station_id, 0, 25, jsonb_build_object('number', n) from old;
insert into vtoc.job_finished (expires_at, id, state, queue, kind, station_id, attempt, started_at, finished_at, error)
select finished_at + interval '30 days', id, state, queue, kind, station_id, 5, finished_at, finished_at, 'the far side refused it' from old;

insert into vtoc.job_attempt (job_id, token, attempt, station_id, worker_id, started_at, finished_at, outcome, error)
select id, n::bigint * 5 + nth, nth, station_id, '00000000-0000-7000-8000-000000000001'::uuid, at, at + interval '1 second',
    case when nth < greatest(attempt, 1) or not ended then 'retry' when state = 'done' then 'done' else state end, 'no answer'
from job
cross join lateral generate_series(1, attempt) nth
where n <= 2000000 and (attempt > 0 or ended and state <> 'done')
union all
select id, n::bigint, 5, station_id, '00000000-0000-7000-8000-000000000001'::uuid, finished_at, finished_at, state, 'no answer' from old;
insert into vtoc.effect (job_id, name, station_id, idempotency_key, method, host, status, elapsed_ms, recorded_at)
select id, 'post', station_id, n || ':post', 'POST', 'chat.example.net', 200, 35, finished_at
from job
where ended and kind = 'post_chat';
insert into vtoc.job_unique (station_id, kind, key, job_id, enqueued_at, keep_for, expires_at)
select coalesce(station_id, 0), kind, 'key-' || n, id, at, case when ended then interval '1 hour' end,
    case when ended then finished_at + interval '36 hours' end
from job
where keyed and n <= 2000000;

-- What runs: forty leases of a hundred jobs.
insert into vtoc.job_lease (token, worker_id, lease_until, started_at, ids, attempts)
select nextval('vtoc.lease_token') + 20000000, ('00000000-0000-7000-8000-' || lpad(((n / 100) % 20)::text, 12, '0'))::uuid, vtoc.clock() + interval '20 seconds', vtoc.clock(),
    array_agg(id), array_agg(1::smallint)
from job
where n > 2000000 and n <= 2004000
group by n / 100;
select setval('vtoc.lease_token', 30000000), setval('vtoc.job_id', 3000000);
insert into vtoc.job_cancel (job_id, reason) select id, 'changed my mind' from job where n > 2000000 and n <= 2004000 and n % 100 = 0;

-- Half of what the first ten of them hold has ended.
insert into vtoc.job_settled (token, id)
select l.token, id from (select token, ids from vtoc.job_lease order by token limit 10) l cross join lateral unnest(l.ids[1:50]) id;

-- What waits: twenty thousand parents with four children each, the rest for answers.
insert into vtoc.job_waiting (id, what, deadline, claim, queue, kind, station_id, priority, keyed, awaited, attempt, attempts_max, suspect, crash_count)
select id, case when n <= 2024000 then 'children' else 'callback' end,
    case when n % 100 = 0 then vtoc.clock() - interval '1 minute' else vtoc.clock() + interval '1 second' * (n - 2000000) end, n, queue, kind, station_id, priority, false, false, 0, 25, false, 0
from job
where n > 2004000;
insert into vtoc.job_family (parent_id, "left", done) select id, 4, 1 from job where n > 2004000 and n <= 2024000;
insert into vtoc.job_child (id, parent_id)
select child.id, parent.id
from job parent
cross join lateral (values (0), (2), (4), (6)) nth (n)
join job child on child.n = 1000000 + (parent.n - 2004000) * 10 + nth.n
where parent.n > 2004000 and parent.n <= 2024000;
insert into vtoc.job_callback (token_sha256, job_id, claim, made_at, answered_at)
select sha256(convert_to('token-' || n, 'UTF8')), id, n, finished_at, case when ended then finished_at end
from job
where n > 2024000 or kind = 'run_playbook' and n % 10 = 1;
insert into vtoc.job_woken (job_id, claim, by, at) select id, n, 'callback', finished_at from job where n <= 2000000 and kind = 'run_playbook' and n % 10 = 1;

insert into vtoc.receipt (id, source, key, station_id, body_sha256, body_bytes, verdict, job_id, received_at)
select gen_random_uuid(), 'chatkit.webhook', 'event-id:' || n, station_id, sha256(convert_to(n::text, 'UTF8')), 200, 'accepted', vtoc.job_uuid(id, at), at
from job
where kind = 'run_playbook' and n % 12 in (1, 4) and n <= 2000000;
insert into vtoc.receipt_key (source, key, receipt_id, body_sha256) select source, key, id, body_sha256 from vtoc.receipt;
insert into vtoc.audit (id, station_id, tool_name, status, action_input, job_id, created_at, updated_at)
select gen_random_uuid(), coalesce(station_id, 1), case when n % 1000 = 16 then 'rare_tool' else 'playbook-' || n % 7 end,
    case when n % 2000 < 40 then 'running' when not ended then 'queued' when state = 'done' then 'succeeded' else 'failed' end, '{}', vtoc.job_uuid(id, at), at, finished_at
from job
where kind = 'run_playbook' and n % 12 in (1, 4) and n <= 2000000;
insert into vtoc.playbook_run (id, station_id, job_id, playbook, definition, parameters, status, started_at, finished_at)
select gen_random_uuid(), coalesce(station_id, 1), vtoc.job_uuid(id, at), 'playbook-' || n % 7, '{}', '{}', case state when 'done' then 'succeeded' else 'failed' end, finished_at, finished_at
from job
where kind = 'run_playbook' and n % 12 = 1 and n <= 2000000;
insert into vtoc.playbook_step (run_id, position, step, station_id, status, result)
select r.id, p, 'step-' || p, r.station_id, 'done', '{}' from vtoc.playbook_run r cross join generate_series(1, 2) p;
insert into vtoc.chat_message (id, channel_id, station_id, body, metadata, idempotency_key, request_sha256, created_at)
select gen_random_uuid(), c.id, j.station_id, 'said', '{}', j.n || ':post', sha256(convert_to(j.n::text, 'UTF8')), j.finished_at
from job j
join vtoc.chat_channel c on c.station_id = j.station_id
where j.kind = 'post_chat' and j.n % 20 = 1;
drop table job, old;
