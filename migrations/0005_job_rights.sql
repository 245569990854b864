-- Who may touch the queue: vtoc_queue the whole fleet's, vtoc_station the transaction's station's only.
do $$
declare
    name text;
begin
    foreach name in array array['job', 'job_ready', 'job_running', 'job_finished', 'job_finished_default', 'job_attempt', 'job_unique', 'effect'] loop
        execute format('alter table vtoc.%I enable row level security', name);
        execute format('alter table vtoc.%I force row level security', name);
    end loop;
    foreach name in array array['job', 'job_ready', 'job_running', 'job_finished', 'job_attempt', 'job_unique', 'effect'] loop
        execute format('create policy fleet on vtoc.%I to vtoc_queue using (true) with check (true)', name);
        execute format('create policy own_station on vtoc.%I to vtoc_station using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()))', name);
        execute format('grant select, insert, update, delete on vtoc.%I to vtoc_queue', name);
    end loop;
    foreach name in array array['worker', 'job_lease', 'job_cancel'] loop
        execute format('alter table vtoc.%I enable row level security', name);
        execute format('alter table vtoc.%I force row level security', name);
        execute format('create policy fleet on vtoc.%I to vtoc_queue using (true) with check (true)', name);
        execute format('grant select, insert, update, delete on vtoc.%I to vtoc_queue', name);
    end loop;
end
$$;
grant usage on sequence vtoc.job_id to vtoc_queue, vtoc_station;
grant usage on sequence vtoc.lease_token to vtoc_queue;

-- A station may enqueue and look; claiming, finishing and cancelling are the fleet's.
grant select, insert on vtoc.job, vtoc.job_ready to vtoc_station;
grant select, insert, update on vtoc.job_unique to vtoc_station;
grant select on vtoc.job_running, vtoc.job_finished, vtoc.job_attempt, vtoc.effect to vtoc_station;

create policy maintenance on vtoc.job to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_attempt to vtoc_maintenance using (true);
create policy maintenance on vtoc.effect to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_unique to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_finished for select to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_ready for select to vtoc_maintenance using (true);
create policy maintenance on vtoc.job_running for select to vtoc_maintenance using (true);
grant select, delete on vtoc.job, vtoc.job_attempt, vtoc.effect, vtoc.job_unique to vtoc_maintenance;
grant select on vtoc.job_finished, vtoc.job_ready, vtoc.job_running to vtoc_maintenance;

-- Which process runs a job is no secret of another station; what else that process does is.
create policy seen_by_stations on vtoc.worker for select to vtoc_station using (true);
create policy seen_by_stations on vtoc.job_lease for select to vtoc_station using (true);
grant select (id, name) on vtoc.worker to vtoc_station;
grant select (token, worker_id) on vtoc.job_lease to vtoc_station;
