-- What a station knows, once in each role's schema: the same tables, seen through the policy on the transaction's station.
do $$
declare
    schema_name text;
    table_name text;
    group_role text;
begin
    foreach schema_name in array array['ops', 'intel', 'logistics'] loop
        group_role := 'vtoc_' || schema_name;
        execute format($ddl$
            create table %1$I.source (
                id bigint generated always as identity primary key,
                station_id bigint not null references vtoc.station (id),
                slug text not null,
                kind text not null,
                created_at timestamptz not null default vtoc.clock(),
                constraint source_slug_unique unique (station_id, slug)
            );
            comment on table %1$I.source is 'where readings come from';

            create table %1$I.telemetry_event (
                id bigint generated always as identity,
                station_id bigint not null references vtoc.station (id),
                observed_at timestamptz not null,
                dedupe_key bytea not null constraint telemetry_event_dedupe_key_is_128_bit check (length(dedupe_key) = 16),
                source text not null,
                feed text not null,
                kind text not null,
                entity_id text not null,
                received_at timestamptz not null,
                longitude double precision constraint telemetry_event_longitude_range check (longitude between -180 and 180),
                latitude double precision constraint telemetry_event_latitude_range check (latitude between -90 and 90),
                data jsonb not null,
                seen_by text[] not null,
                rssi_dbfs real,
                job_id uuid,
                constraint telemetry_event_unique primary key (station_id, dedupe_key, observed_at)
            ) partition by range (observed_at);
            comment on table %1$I.telemetry_event is 'readings (vtoc.telemetry.v1), partitioned by the UTC day they were true';
            create index telemetry_event_entity on %1$I.telemetry_event (station_id, entity_id, observed_at desc);
            create index telemetry_event_window on %1$I.telemetry_event (station_id, observed_at, dedupe_key);
            create index telemetry_event_received on %1$I.telemetry_event using brin (received_at);

            create table %1$I.telemetry_quarantine (
                id bigint generated always as identity primary key,
                station_id bigint not null references vtoc.station (id),
                source text not null,
                code text not null,
                detail text not null,
                raw text not null,
                raw_sha256 bytea not null,
                quarantined_at timestamptz not null default vtoc.clock(),
                constraint telemetry_quarantine_once unique (station_id, source, raw_sha256)
            );
            comment on table %1$I.telemetry_quarantine is 'what could not be understood, with the reason; kept for replay';

            create table %1$I.track (
                id bigint generated always as identity primary key,
                station_id bigint not null references vtoc.station (id),
                entity_id text not null,
                name text,
                first_seen_at timestamptz not null,
                last_seen_at timestamptz not null,
                longitude double precision,
                latitude double precision,
                altitude_m double precision,
                speed_mps double precision,
                course_deg double precision,
                vrate_mps double precision,
                points integer not null,
                sources text[] not null,
                quality double precision not null constraint track_quality_range check (quality between 0 and 1),
                run_id uuid not null,
                updated_at timestamptz not null default vtoc.clock(),
                constraint track_entity_unique unique (station_id, entity_id)
            );
            comment on table %1$I.track is 'one row an aircraft, vessel or other mover: the latest merged picture';
        $ddl$, schema_name);
        foreach table_name in array array['source', 'telemetry_event', 'telemetry_quarantine', 'track'] loop
            execute format('alter table %I.%I enable row level security', schema_name, table_name);
            execute format('alter table %I.%I force row level security', schema_name, table_name);
            execute format('create policy own_station on %I.%I to %I using (station_id = (select vtoc.current_station())) with check (station_id = (select vtoc.current_station()))', schema_name, table_name, group_role);
            execute format('grant select, insert, update, delete on %I.%I to %I', schema_name, table_name, group_role);
        end loop;
    end loop;
end
$$;
