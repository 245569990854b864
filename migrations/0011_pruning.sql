-- Pruning: days of bodies and of history are detached and dropped. vtoc_maintenance owns the parents for that, since a
-- partition can't be detached concurrently by a function with its owner's rights; what it does to single days, functions check.
create view vtoc.job_live with (security_invoker = true) as
select id from vtoc.job_ready
union all
select id from vtoc.job_running
union all
select id from vtoc.job_waiting;
comment on view vtoc.job_live is 'jobs that may still run; one that isn''t here any more comes back from the history only';

create view vtoc.job_needed with (security_invoker = true) as
select id from vtoc.job_live
union all
select id from vtoc.job_finished;
comment on view vtoc.job_needed is 'jobs whose bodies are kept; one that left it never comes back';
grant select on vtoc.job_live, vtoc.job_needed to vtoc_queue, vtoc_maintenance;

create table vtoc.job_large_kept (like vtoc.job_large including defaults including constraints, primary key (id));
comment on table vtoc.job_large_kept is 'payloads over the cap of the jobs in job_kept';
alter table vtoc.job_large_kept enable row level security;
alter table vtoc.job_large_kept force row level security;
create policy fleet on vtoc.job_large_kept to vtoc_queue using (true) with check (true);
create policy maintenance on vtoc.job_large_kept to vtoc_maintenance using (true) with check (true);
create policy own_station on vtoc.job_large_kept to vtoc_station
    using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()));
grant select, insert, update, delete on vtoc.job_large_kept to vtoc_queue;
grant select, insert, delete on vtoc.job_large_kept to vtoc_maintenance;
grant select on vtoc.job_large_kept to vtoc_station;

create view vtoc.job_beside with (security_invoker = true) as
select * from vtoc.job_large where id >= (select id from vtoc.job_floor)
union all
select * from vtoc.job_large_kept where id < (select id from vtoc.job_floor);
comment on view vtoc.job_beside is 'payloads over the cap, wherever they are stored';
grant select on vtoc.job_beside to vtoc_queue, vtoc_station, vtoc_maintenance;

-- To skip a key that somebody takes at this moment, it must be lockable.
grant update (expires_at) on vtoc.job_unique to vtoc_maintenance;

do $$
begin
    -- Who gives a table away must belong to who gets it, and stays so to attach partitions.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant vtoc_maintenance to %I', current_user);
    end if;
exception
    -- From PostgreSQL 16 on, only who made the role, or administers it, may; somebody else has to have done it before.
    when insufficient_privilege then null;
end
$$;
grant create on schema vtoc to vtoc_maintenance;
alter table vtoc.job_body owner to vtoc_maintenance;
alter table vtoc.job_large owner to vtoc_maintenance;
alter table vtoc.job_finished owner to vtoc_maintenance;
revoke create on schema vtoc from vtoc_maintenance;

create function vtoc.close_body_day(day date) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    parent text;
    child regclass;
begin
    foreach parent in array array['job_body', 'job_large'] loop
        child := to_regclass(format('vtoc.%I', parent || '_' || to_char(day, 'YYYYMMDD')));
        -- Whoever has enqueued into it and not committed yet is waited for.
        if child is not null then
            execute format('lock table %s in share mode', child);
        end if;
    end loop;
end
$$;
comment on function vtoc.close_body_day(date) is 'until this transaction ends, nobody writes bodies of that day';

create function vtoc.drop_day_partition(parent text, day date) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    child regclass;
begin
    if parent not in ('job_body', 'job_large', 'job_finished') then
        raise exception '% is not dropped by days', parent;
    end if;
    child := to_regclass(format('vtoc.%I', parent || '_' || to_char(day, 'YYYYMMDD')));
    if child is null then
        return;
    end if;
    if (select relispartition from pg_class where oid = child) then
        raise exception '% is not detached', child;
    end if;
    if parent <> 'job_finished' and (day + 1 - date '1970-01-01')::bigint << 40 > (select id from vtoc.job_floor) then
        raise exception 'bodies are still read from %', child;
    end if;
    if parent = 'job_finished' and (day + 1)::timestamp at time zone 'UTC' > vtoc.clock() then
        raise exception '% has not expired', child;
    end if;
    execute format('drop table %s', child);
end
$$;
comment on function vtoc.drop_day_partition(text, date) is 'drops a detached day that nobody reads any more; nothing when it is gone';
grant execute on function vtoc.close_body_day(date), vtoc.drop_day_partition(text, date) to vtoc_maintenance;
