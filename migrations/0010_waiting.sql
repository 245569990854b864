-- Jobs that wait without a slot or a lease, for children or for an answer from outside; payloads over the cap; and enqueueing
-- for any client of the database.
alter table vtoc.job_ready add column awaited boolean not null default false;
comment on column vtoc.job_ready.awaited is 'its end may count for a parent: job_child says whether';

alter table vtoc.job_attempt drop constraint job_attempt_outcome_known;
alter table vtoc.job_attempt add constraint job_attempt_outcome_known check (outcome in
    ('done', 'retry', 'snooze', 'waiting', 'cancelled', 'dead', 'interrupted', 'timed_out', 'panicked', 'crashed', 'given_up'));

create table vtoc.job_child (
    id bigint primary key,
    parent_id bigint not null
);
comment on table vtoc.job_child is 'awaited children that haven''t ended; the row goes with the end, so that no end counts twice';

create table vtoc.job_family (
    parent_id bigint primary key,
    "left" integer not null constraint job_family_left_counts check ("left" >= 0),
    done integer not null default 0,
    failed integer not null default 0
);
comment on table vtoc.job_family is 'how many awaited children a job has left, and how the others ended; the row''s lock orders their ends and the parent''s wait';

create table vtoc.job_waiting (
    id bigint primary key,
    what text not null constraint job_waiting_what_known check (what in ('callback', 'children')),
    deadline timestamptz
        constraint job_waiting_deadline_in_reach check (deadline between '0001-01-01 00:00Z' and '9999-12-31 00:00Z'),
    claim bigint not null,
    queue text not null,
    kind text not null,
    station_id bigint,
    priority smallint not null,
    keyed boolean not null,
    awaited boolean not null,
    attempt smallint not null,
    attempts_max smallint not null,
    suspect boolean not null,
    crash_count smallint not null,
    constraint job_waiting_ends check (what = 'children' or deadline is not null)
);
comment on table vtoc.job_waiting is 'jobs that wait, with what job_ready needs once they are woken';
comment on column vtoc.job_waiting.deadline is 'wakes the job whatever came; null is only a completion''s, which its children wake';
comment on column vtoc.job_waiting.claim is 'token of the claim that began the wait, 0 for none';
create index job_waiting_deadline on vtoc.job_waiting (deadline);

create table vtoc.job_callback (
    token_sha256 bytea primary key constraint job_callback_is_sha256 check (length(token_sha256) = 32),
    job_id bigint not null,
    claim bigint not null,
    made_at timestamptz not null default vtoc.clock(),
    answered_at timestamptz,
    answer jsonb
);
comment on table vtoc.job_callback is 'tokens that an answer may come with, from before they left the house; kept a day past the job''s end, so that a late answer is told from a wrong one';
create index job_callback_job on vtoc.job_callback (job_id);

create table vtoc.job_woken (
    job_id bigint primary key,
    claim bigint not null,
    by text not null constraint job_woken_by_known check (by in ('callback', 'children', 'deadline')),
    answer jsonb,
    at timestamptz not null
);
comment on table vtoc.job_woken is 'what ended a job''s last wait; kept a day past the job''s end';
comment on column vtoc.job_woken.claim is 'callback tokens given out up to this claim are spent';

create table vtoc.job_large (
    id bigint primary key,
    -- No foreign key: see job_body.
    station_id bigint,
    -- The writer's cap is 16 MiB of text; see job_payload_cap.
    payload jsonb not null constraint job_large_cap check (pg_column_size(payload) <= 8 * 16777216)
) partition by range (id);
comment on table vtoc.job_large is 'payloads over 256 KiB, of which the body says the size only; by the day of enqueue, as bodies';

do $$
declare
    name text;
begin
    foreach name in array array['job_child', 'job_family', 'job_waiting', 'job_callback', 'job_woken', 'job_large'] loop
        execute format('alter table vtoc.%I enable row level security', name);
        execute format('alter table vtoc.%I force row level security', name);
        execute format('create policy fleet on vtoc.%I to vtoc_queue using (true) with check (true)', name);
        execute format('create policy maintenance on vtoc.%I to vtoc_maintenance using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on vtoc.%I to vtoc_queue', name);
        execute format('grant select, delete on vtoc.%I to vtoc_maintenance', name);
    end loop;
    -- Who waits for whom is the fleet's to write: a child of one station mustn't end the wait of another's job.
    foreach name in array array['job_waiting', 'job_large'] loop
        execute format('create policy own_station on vtoc.%I to vtoc_station using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()))', name);
        execute format('grant select on vtoc.%I to vtoc_station', name);
    end loop;
end
$$;
grant insert on vtoc.job_large to vtoc_station;

select vtoc.add_day_partition('vtoc.job_large', (now() at time zone 'UTC')::date + n) from generate_series(-1, 7) n;

create function vtoc.job_uuid(key bigint, enqueued_at timestamptz) returns uuid
language sql stable parallel safe
-- Milliseconds, 12 bits of the fraction below, and the key in the last 62 bits.
return (
    select (lpad(to_hex(t.micros / 1000), 12, '0') || '7' || lpad(to_hex(t.micros % 1000 * 4096 / 1000), 3, '0')
        || to_hex((key & 4611686018427387903) | (-9223372036854775807 - 1)))::uuid
    from (select (extract(epoch from enqueued_at) * 1000000)::bigint as micros) t
);
comment on function vtoc.job_uuid(bigint, timestamptz) is 'the id under which people know a job';

create function vtoc.enqueue(
    queue text,
    kind text,
    payload jsonb,
    station bigint default null,
    run_at timestamptz default null,
    priority integer default 0,
    attempts_max integer default 25,
    dedupe_key text default null,
    keep_for interval default null
) returns table (id uuid, fresh boolean)
language plpgsql security invoker set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
    moment timestamptz := vtoc.clock();
    new_key bigint := (floor(extract(epoch from moment) / 86400)::bigint << 40) | nextval('vtoc.job_id');
    -- Somebody with a station's login enqueues for that station.
    owner bigint := coalesce(station, (select l.station_id from vtoc.station_login l where l.login = session_user));
    -- Nobody gets ahead of others by a time in the past.
    start timestamptz := greatest(run_at, moment);
    longest constant interval := '36525 days';
    bytes integer := octet_length(payload::text);
    body jsonb := payload;
    held record;
begin
    if jsonb_typeof(payload) = 'object' and payload ? 'vtoc:beside' then
        raise exception 'payload: the field vtoc:beside is the queue''s own' using errcode = 'invalid_parameter_value';
    elsif bytes > 16777216 then
        raise exception 'payload: % bytes, at most 16777216 are allowed', bytes using errcode = 'invalid_parameter_value';
    elsif start > moment + longest then
        raise exception 'run_at: at most 36525 days from now' using errcode = 'invalid_parameter_value';
    elsif keep_for not between interval '0' and longest then
        raise exception 'keep_for: 0 to 36525 days' using errcode = 'invalid_parameter_value';
    end if;
    if dedupe_key is not null then
        insert into vtoc.job_unique as u (station_id, kind, key, job_id, enqueued_at, keep_for)
        values (coalesce(owner, 0), enqueue.kind, enqueue.dedupe_key, new_key, moment, enqueue.keep_for)
        on conflict (station_id, kind, key) do update
        set job_id = case when u.expires_at <= vtoc.clock() then excluded.job_id else u.job_id end,
            enqueued_at = case when u.expires_at <= vtoc.clock() then excluded.enqueued_at else u.enqueued_at end,
            keep_for = case when u.expires_at <= vtoc.clock() then excluded.keep_for else u.keep_for end,
            expires_at = case when u.expires_at <= vtoc.clock() then null else u.expires_at end
        returning u.job_id, u.enqueued_at into held;
        if held.job_id <> new_key then
            return query select vtoc.job_uuid(held.job_id, held.enqueued_at), false;
            return;
        end if;
    end if;
    if bytes > 262144 then
        insert into vtoc.job_large (id, station_id, payload) values (new_key, owner, enqueue.payload);
        body := jsonb_build_object('vtoc:beside', bytes);
    end if;
    insert into vtoc.job_body (id, enqueued_at, queue, kind, station_id, priority, attempts_max, dedupe_key, payload)
    values (new_key, moment, enqueue.queue, enqueue.kind, owner, enqueue.priority, enqueue.attempts_max, enqueue.dedupe_key, body);
    insert into vtoc.job_ready (id, queue, kind, station_id, priority, run_at, due, keyed, attempts_max)
    values (new_key, enqueue.queue, enqueue.kind, owner, enqueue.priority, start, start = moment, enqueue.dedupe_key is not null,
        enqueue.attempts_max);
    if start = moment and octet_length(enqueue.queue) < 8000 then
        perform pg_notify('vtoc_wake', enqueue.queue);
    end if;
    return query select vtoc.job_uuid(new_key, moment), true;
end
$$;
comment on function vtoc.enqueue(text, text, jsonb, bigint, timestamptz, integer, integer, text, interval) is
    'enqueues one job in the caller''s transaction and wakes the workers at its commit; a taken dedupe key answers with the job that holds it';
grant execute on function vtoc.job_uuid(bigint, timestamptz) to vtoc_queue, vtoc_station;
grant execute on function vtoc.enqueue(text, text, jsonb, bigint, timestamptz, integer, integer, text, interval) to vtoc_queue, vtoc_station;
