-- Who may touch the queue: vtoc_queue the whole fleet's, vtoc_station the transaction's station's only.
do $$
declare
    name text;
begin
    foreach name in array array['job_body', 'job_kept', 'job_ready', 'job_finished', 'job_attempt', 'job_unique', 'effect'] loop
        execute format('alter table vtoc.%I enable row level security', name);
        execute format('alter table vtoc.%I force row level security', name);
    end loop;
    foreach name in array array['job_body', 'job_kept', 'job_ready', 'job_finished', 'job_attempt', 'job_unique', 'effect'] loop
        execute format('create policy fleet on vtoc.%I to vtoc_queue using (true) with check (true)', name);
        execute format('create policy own_station on vtoc.%I to vtoc_station using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()))', name);
        execute format('grant select, insert, update, delete on vtoc.%I to vtoc_queue', name);
    end loop;
    foreach name in array array['worker', 'job_lease', 'job_settled', 'job_cancel'] loop
        execute format('alter table vtoc.%I enable row level security', name);
        execute format('alter table vtoc.%I force row level security', name);
        execute format('create policy fleet on vtoc.%I to vtoc_queue using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on vtoc.%I to vtoc_queue', name);
    end loop;
end
$$;
grant usage on sequence vtoc.job_id, vtoc.lease_token to vtoc_queue;

grant select on vtoc.job, vtoc.job_running to vtoc_queue;

-- A station may look; claiming, finishing and cancelling are the fleet's. Which leases there are is the fleet's too: one lease
-- holds jobs of several stations. A station's jobs are enqueued for it (vtoc.enqueue): a policy sees whose a row is, not whose
-- its id is.
grant select on vtoc.job_body, vtoc.job_ready, vtoc.job_unique, vtoc.job, vtoc.job_kept, vtoc.job_finished, vtoc.job_attempt, vtoc.effect to vtoc_station;

-- Which bodies have moved is no secret.
alter table vtoc.job_floor enable row level security;
alter table vtoc.job_floor force row level security;
create policy everybody on vtoc.job_floor for select to vtoc_queue, vtoc_station using (true);
create policy maintenance on vtoc.job_floor to vtoc_maintenance using (true) with check (true);
grant select on vtoc.job_floor to vtoc_queue;
grant select (id) on vtoc.job_floor to vtoc_station;
grant select, update on vtoc.job_floor to vtoc_maintenance;

create policy maintenance on vtoc.job_body for select to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_kept to vtoc_maintenance using (true) with check (true);
create policy maintenance on vtoc.job_attempt to vtoc_maintenance using (true);
create policy maintenance on vtoc.effect to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_unique to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_finished for select to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_ready for select to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_lease for select to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_settled for select to vtoc_maintenance using (true);
grant select, insert, delete on vtoc.job_kept to vtoc_maintenance;
grant select, delete on vtoc.job_attempt, vtoc.effect, vtoc.job_unique to vtoc_maintenance;
grant select on vtoc.job, vtoc.job_body, vtoc.job_running, vtoc.job_finished, vtoc.job_ready, vtoc.job_lease, vtoc.job_settled to vtoc_maintenance;

-- Which process runs a job is no secret of another station; what else that process does is.
create policy seen_by_stations on vtoc.worker for select to vtoc_station using (true);
grant select (id, name) on vtoc.worker to vtoc_station;
