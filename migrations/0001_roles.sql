-- Group roles and schemas. Roles belong to the whole cluster, so another database of the same cluster may have made them
-- already, perhaps at this very moment.
create schema if not exists vtoc;
create schema ops;
create schema intel;
create schema logistics;

do $$
declare
    name text;
begin
    foreach name in array array['vtoc_queue', 'vtoc_station', 'vtoc_ops', 'vtoc_intel', 'vtoc_logistics', 'vtoc_maintenance'] loop
        begin
            execute format('create role %I nologin noinherit nosuperuser nocreatedb nocreaterole nobypassrls', name);
        exception
            when duplicate_object or unique_violation then null;
        end;
    end loop;
end
$$;

comment on schema vtoc is 'control plane: stations, tokens, jobs, receipts, audits, runs, chat';
comment on schema ops is 'data of the stations whose role is ops';
comment on schema intel is 'data of the stations whose role is intel';
comment on schema logistics is 'data of the stations whose role is logistics';

grant usage on schema vtoc to vtoc_queue, vtoc_station, vtoc_ops, vtoc_intel, vtoc_logistics, vtoc_maintenance;
grant usage on schema ops to vtoc_ops;
grant usage on schema intel to vtoc_intel;
grant usage on schema logistics to vtoc_logistics;

-- Functions are callable by everybody unless said otherwise; here nothing is.
alter default privileges in schema vtoc revoke execute on functions from public;
alter default privileges revoke execute on functions from public;
