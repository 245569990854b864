//! The leak matrix of station data: three roles × every station table × select, insert, update, delete, from each station
//! towards every other one of its own and of the other roles. None succeeds, and the same statements towards oneself do.

use jobs::{StationId, stations::Role, testing::TestDatabase};

use crate::trespass::{Answer, Trespasser, Verb};

const ROLES: [Role; 3] = [Role::Ops, Role::Intel, Role::Logistics];

/// Every table of a role's schema with the columns and values of one row; `{s}` is the station, `{n}` a new number.
const TABLES: [(&str, &str, &str); 4] = [
    ("source", "slug, kind", "'source {n}', 'adsb'"),
    (
        "telemetry_event",
        "observed_at, dedupe_key, source, feed, kind, entity_id, received_at, data, seen_by",
        "'2031-07-01T12:00Z', decode(md5('{s} {n}'), 'hex'), 's', 'f', 'position', 'e', now(), '{}', '{}'",
    ),
    (
        "telemetry_quarantine",
        "source, code, detail, raw, raw_sha256",
        "'s', 'c', 'd', 'r', decode(md5('{s} {n}'), 'hex')",
    ),
    (
        "track",
        "entity_id, first_seen_at, last_seen_at, points, sources, quality, run_id",
        "'track {n}', now(), now(), 1, '{}', 1, gen_random_uuid()",
    ),
];

struct Neighbours {
    base: TestDatabase,
    /// Two stations of each role.
    stations: Vec<(Role, StationId)>,
}

impl Neighbours {
    async fn new() -> Self {
        let base = TestDatabase::new().await;
        let mut stations = Vec::new();
        for role in ROLES {
            base.execute(&format!("select vtoc.add_day_partition('{role}.telemetry_event', '2031-07-01')")).await;
            for n in 1..=2 {
                let station = base.station(&format!("{role}-{n}"), role).await.id;
                for (table, columns, values) in TABLES {
                    base.execute(&statement(Verb::Insert, &format!("{role}.{table}"), columns, values, station)).await;
                }
                stations.push((role, station));
            }
        }
        Self { base, stations }
    }

    /// All rows of all station tables, as one text.
    async fn everything(&self) -> String {
        let mut all = String::new();
        for role in ROLES {
            for (table, ..) in TABLES {
                let rows = format!("select string_agg(t::text, '' order by t::text) from {role}.{table} t");
                all += &self.base.text(&rows).await.unwrap();
            }
        }
        all
    }
}

fn statement(verb: Verb, table: &str, columns: &str, values: &str, target: StationId) -> String {
    verb.statement(table, "station_id", columns, values, target.0)
}

/// The trespasser of one station, in its role's group.
async fn from(neighbours: &Neighbours, role: Role, station: Option<StationId>) -> Trespasser {
    Trespasser::new(&neighbours.base.url, &format!("vtoc_{role}"), station).await
}

#[tokio::test]
async fn no_station_reaches_a_row_of_another() {
    let neighbours = Neighbours::new().await;
    let before = neighbours.everything().await;
    let mut tried = 0;
    for (role, own) in &neighbours.stations {
        let mut trespasser = from(&neighbours, *role, Some(*own)).await;
        for (target_role, target) in neighbours.stations.iter().filter(|(_, target)| target != own) {
            for (table, columns, values) in TABLES {
                for verb in Verb::ALL {
                    let statement = statement(verb, &format!("{target_role}.{table}"), columns, values, *target);
                    let answer = trespasser.tries(&statement).await;
                    let expected =
                        if role != target_role || verb == Verb::Insert { Answer::Refused } else { Answer::Rows(0) };
                    assert_eq!(answer, expected, "{role} station {}: {statement}", own.0);
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 6 * 5 * TABLES.len() * Verb::ALL.len());
    assert_eq!(neighbours.everything().await, before);
}

#[tokio::test]
async fn no_station_gives_a_row_to_another() {
    let neighbours = Neighbours::new().await;
    let mut tried = 0;
    for (role, own) in &neighbours.stations {
        let mut trespasser = from(&neighbours, *role, Some(*own)).await;
        for (_, target) in neighbours.stations.iter().filter(|(_, target)| target != own) {
            for (table, ..) in TABLES {
                let statement =
                    format!("update {role}.{table} set station_id = {} where station_id = {}", target.0, own.0);
                assert_eq!(trespasser.tries(&statement).await, Answer::Refused, "{statement}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 6 * 5 * TABLES.len());
}

#[tokio::test]
async fn without_a_station_no_row_is_seen_changed_or_made() {
    let neighbours = Neighbours::new().await;
    let mut tried = 0;
    for role in ROLES {
        let mut trespasser = from(&neighbours, role, None).await;
        for (target_role, target) in &neighbours.stations {
            for (table, columns, values) in TABLES {
                for verb in Verb::ALL {
                    let statement = statement(verb, &format!("{target_role}.{table}"), columns, values, *target);
                    let expected =
                        if role != *target_role || verb == Verb::Insert { Answer::Refused } else { Answer::Rows(0) };
                    assert_eq!(trespasser.tries(&statement).await, expected, "{role}: {statement}");
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 3 * 6 * TABLES.len() * Verb::ALL.len());
}

#[tokio::test]
async fn the_same_statements_towards_oneself_succeed() {
    let neighbours = Neighbours::new().await;
    for (role, own) in &neighbours.stations {
        let mut trespasser = from(&neighbours, *role, Some(*own)).await;
        for (table, columns, values) in TABLES {
            for verb in Verb::ALL {
                let statement = statement(verb, &format!("{role}.{table}"), columns, values, *own);
                assert_eq!(trespasser.tries(&statement).await, Answer::Rows(1), "{statement}");
            }
        }
    }
}

#[tokio::test]
async fn the_matrix_knows_every_station_table_and_nobody_reaches_a_partition() {
    let neighbours = Neighbours::new().await;
    for role in ROLES {
        let of = |what: &str| {
            format!(
                "select string_agg(relname, ' ' order by relname) from pg_class where relnamespace = '{role}'::regnamespace and {what}"
            )
        };
        let tables = neighbours.base.text(&of("relkind in ('r', 'p') and not relispartition")).await.unwrap();
        assert_eq!(tables, TABLES.map(|(table, ..)| table).join(" "));
        let partitions = neighbours.base.text(&of("relkind = 'r' and relispartition")).await.unwrap();
        let (_, own) = neighbours.stations.iter().find(|(of, _)| *of == role).unwrap();
        let mut trespasser = from(&neighbours, role, Some(*own)).await;
        for partition in partitions.split(' ') {
            assert_eq!(trespasser.tries(&format!("select from {role}.{partition}")).await, Answer::Refused);
        }
    }
}
