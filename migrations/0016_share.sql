-- Stations share a queue by the time that their jobs take of workers. Each station's jobs stand in a line of their own, so that a claim
-- takes from each what is its share and steps over nobody else's; what a station has had is kept here.
alter table vtoc.station add column weight real not null default 1
    constraint station_weight_in_reach check (weight between 0.01::real and 100);
comment on column vtoc.station.weight is 'its share of a queue that others want too, by theirs';

create table vtoc.share (
    queue text not null,
    -- 0 for jobs of the fleet.
    station_id bigint not null,
    had double precision not null constraint share_had_is_time check (had between 0 and 1e15),
    primary key (queue, station_id)
) with (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
comment on table vtoc.share is 'who has had how much of a queue, as processes report now and then; whoever has had least is next';
comment on column vtoc.share.had is 'seconds of workers by the station''s weight; whoever comes back after a pause begins with as much as who waits already';

alter table vtoc.share enable row level security;
alter table vtoc.share force row level security;
create policy fleet on vtoc.share to vtoc_queue using (true) with check (true);
create policy own_station on vtoc.share to vtoc_station
    using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()));
grant select, insert, update, delete on vtoc.share to vtoc_queue;
grant select on vtoc.share to vtoc_station;

-- Not coalesce, which the planner doesn't trust to keep a secret: behind a policy it would sort what the index has in order.
drop index vtoc.job_ready_claim;
create index job_ready_claim on vtoc.job_ready (queue, (case when station_id is null then 0 else station_id end), priority desc, run_at, id) where due and not suspect;
