-- Day partitions are made apart and attached, so that nobody who reads or writes the parent waits; they carry row-level
-- security without any policy and no grants, so the parent is the only way in.
create function vtoc.add_day_partition(parent text, day date) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '5s'
as $$
declare
    schema_name text;
    parent_name text;
    child_name text;
    by_id boolean;
    from_bound text;
    to_bound text;
begin
    select n.nspname, c.relname, a.atttypid = 'int8'::regtype into schema_name, parent_name, by_id
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_partitioned_table p on p.partrelid = c.oid
    join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0]
    where c.oid = to_regclass(parent) and c.relkind = 'p' and n.nspname in ('vtoc', 'ops', 'intel', 'logistics');
    if parent_name is null then
        raise exception '% is not a partitioned table of this fleet', parent;
    end if;
    child_name := parent_name || '_' || to_char(day, 'YYYYMMDD');
    perform pg_advisory_xact_lock(hashtextextended(schema_name || '.' || child_name, 0));
    if to_regclass(format('%I.%I', schema_name, child_name)) is not null then
        return false;
    end if;
    execute format('create table %I.%I (like %I.%I including defaults including constraints including storage including comments)', schema_name, child_name, schema_name, parent_name);
    execute format('alter table %I.%I enable row level security', schema_name, child_name);
    execute format('alter table %I.%I force row level security', schema_name, child_name);
    -- Ids carry the day of their enqueue: see job_body.
    from_bound := case when by_id then ((day - date '1970-01-01')::bigint << 40)::text else (day::timestamp at time zone 'UTC')::text end;
    to_bound := case when by_id then ((day + 1 - date '1970-01-01')::bigint << 40)::text else ((day + 1)::timestamp at time zone 'UTC')::text end;
    execute format('alter table %I.%I attach partition %I.%I for values from (%L) to (%L)', schema_name, parent_name, schema_name, child_name, from_bound, to_bound);
    return true;
end
$$;
comment on function vtoc.add_day_partition(text, date) is 'makes the partition of one UTC day; false when it is there';
-- Not to the roles of station data: people with a station's login are members of them, and making tables isn't theirs.
grant execute on function vtoc.add_day_partition(text, date) to vtoc_queue, vtoc_maintenance;

-- Rows of other days have no place, so the days are made ahead: the longest retention is 30 days.
select vtoc.add_day_partition('vtoc.job_body', (now() at time zone 'UTC')::date + n) from generate_series(-1, 7) n;
select vtoc.add_day_partition('vtoc.job_finished', (now() at time zone 'UTC')::date + n) from generate_series(-1, 33) n;
