//! What the database's own catalogue says about who may see what: every table is under forced row-level security, every
//! station table under its station's policy, and no role or function is wider than it should be. Exceptions are listed
//! here, each with its reason.

use jobs::testing::TestDatabase;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// One rule: a query whose rows are what breaks it.
struct Rule {
    name: &'static str,
    /// A query with one text column.
    breaches: &'static str,
    /// What may break it, and why.
    exceptions: &'static [(&'static str, &'static str)],
}

const RULES: [Rule; 9] = [
    Rule {
        name: "row-level security is enabled and forced",
        breaches: "select format('%s.%s', n.nspname, c.relname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p') and n.nspname in ('vtoc', 'ops', 'intel', 'logistics') and not (c.relrowsecurity and c.relforcerowsecurity)",
        exceptions: &[],
    },
    Rule {
        name: "a table with a station is under a policy on the transaction's station",
        breaches: "select format('%s.%s', n.nspname, c.relname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p') and not c.relispartition
                and (n.nspname in ('ops', 'intel', 'logistics') or n.nspname = 'vtoc'
                    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'station_id' and not a.attisdropped))
                and not exists (select from pg_policies p where p.schemaname = n.nspname and p.tablename = c.relname
                    and p.qual like '%vtoc.current_station()%' and p.with_check like '%vtoc.current_station()%')",
        exceptions: &[
            ("vtoc.station_login", "where the transaction's station comes from: shown to its login, written by its owner"),
            ("vtoc.token", "read before anybody's station is known, by vtoc_queue alone"),
        ],
    },
    Rule {
        name: "a policy without the station is for roles of the whole fleet",
        breaches: "select format('%s.%s for %s', schemaname, tablename, role)
            from pg_policies, unnest(roles) role
            where schemaname in ('vtoc', 'ops', 'intel', 'logistics') and role not in ('vtoc_queue', 'vtoc_maintenance')
                -- Who owns a table may change its policies anyway.
                and role <> (select tableowner from pg_tables t where t.schemaname = pg_policies.schemaname and t.tablename = pg_policies.tablename)
                and (coalesce(qual, with_check) not like '%vtoc.current_station()%' or with_check not like '%vtoc.current_station()%')",
        exceptions: &[
            ("vtoc.worker for vtoc_station", "which process runs a job is shown with the job; only its id and name are granted"),
            ("vtoc.job_floor for vtoc_station", "one number that says which of two tables has a body"),
            ("vtoc.station_login for vtoc_station", "nothing but the login's own row"),
            ("vtoc.station_login for vtoc_ops", "the same"),
            ("vtoc.station_login for vtoc_intel", "the same"),
            ("vtoc.station_login for vtoc_logistics", "the same"),
        ],
    },
    Rule {
        name: "a partition is reached through its parent only",
        breaches: "select format('%s.%s', n.nspname, c.relname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relispartition and n.nspname in ('vtoc', 'ops', 'intel', 'logistics') and c.relkind = 'r'
                and (exists (select from pg_policy p where p.polrelid = c.oid)
                    or exists (select from aclexplode(c.relacl) a where a.grantee <> c.relowner))",
        exceptions: &[],
    },
    Rule {
        name: "our roles are nothing but what is granted to them",
        breaches: "select rolname::text
            from pg_roles
            where (rolsuper or rolbypassrls or rolinherit or rolcreaterole or rolcreatedb or rolreplication)
                and (rolname in ('vtoc_queue', 'vtoc_station', 'vtoc_ops', 'vtoc_intel', 'vtoc_logistics', 'vtoc_maintenance')
                    or oid in (select member from pg_auth_members where roleid = 'vtoc_queue'::regrole)
                        -- Who owns a database may give itself what it likes.
                        and oid not in (select datdba from pg_database))",
        exceptions: &[],
    },
    Rule {
        name: "a group role belongs to no other role",
        breaches: "select format('%s of %s', member::regrole, roleid::regrole)
            from pg_auth_members
            where member::regrole::text in ('vtoc_queue', 'vtoc_station', 'vtoc_ops', 'vtoc_intel', 'vtoc_logistics', 'vtoc_maintenance')",
        exceptions: &[],
    },
    Rule {
        name: "no function is everybody's, and one with its owner's rights has a fixed search path",
        breaches: "select p.oid::regprocedure::text
            from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where n.nspname in ('vtoc', 'ops', 'intel', 'logistics')
                and (has_function_privilege('public', p.oid, 'execute')
                    or p.prosecdef and not exists (select from unnest(p.proconfig) setting where setting like 'search_path=%'))",
        exceptions: &[],
    },
    Rule {
        name: "nobody has a right in another role's schema",
        breaches: "with grantee (name, own) as (values ('vtoc_ops', 'ops'), ('vtoc_intel', 'intel'), ('vtoc_logistics', 'logistics'),
                ('vtoc_queue', 'vtoc'), ('vtoc_station', 'vtoc'), ('vtoc_maintenance', 'vtoc'))
            select format('%s on schema %s', g.name, n.nspname)
            from grantee g cross join pg_namespace n
            where n.nspname in ('ops', 'intel', 'logistics') and n.nspname <> g.own and has_schema_privilege(g.name, n.oid, 'usage, create')
            union all
            select format('%s on %s.%s', g.name, n.nspname, c.relname)
            from grantee g cross join pg_namespace n join pg_class c on c.relnamespace = n.oid
            where n.nspname in ('ops', 'intel', 'logistics') and n.nspname <> g.own and case
                when c.relkind in ('r', 'p', 'v', 'm') then has_any_column_privilege(g.name, c.oid, 'select, insert, update, references')
                    or has_table_privilege(g.name, c.oid, 'delete, truncate, trigger')
                when c.relkind = 'S' then has_sequence_privilege(g.name, c.oid, 'usage, select, update')
                else false end",
        exceptions: &[],
    },
    Rule {
        name: "nothing is granted to everybody",
        breaches: "select format('%s.%s', n.nspname, c.relname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
            where n.nspname in ('vtoc', 'ops', 'intel', 'logistics') and a.grantee = 0
            union all
            select n.nspname::text from pg_namespace n, aclexplode(n.nspacl) a
            where n.nspname in ('vtoc', 'ops', 'intel', 'logistics') and a.grantee = 0",
        exceptions: &[],
    },
];

/// Whatever breaks a rule and is no exception of it.
async fn breaches(owner: &mut PgConnection) -> Vec<String> {
    let mut found = Vec::new();
    for rule in &RULES {
        let rows: Vec<(String,)> = sqlx::query_as(rule.breaches).fetch_all(&mut *owner).await.unwrap();
        let unexcused =
            rows.into_iter().filter(|(breach,)| !rule.exceptions.iter().any(|(excused, _)| excused == breach));
        found.extend(unexcused.map(|(breach,)| format!("{breach}: {}", rule.name)));
    }
    found
}

#[tokio::test]
async fn a_migrated_database_breaks_no_rule() {
    let base = TestDatabase::new().await;
    assert_eq!(breaches(&mut base.owner().await).await, Vec::<String>::new());
}

#[tokio::test]
async fn every_exception_is_still_needed() {
    let mut owner = TestDatabase::new().await.owner().await;
    for rule in &RULES {
        let rows: Vec<(String,)> = sqlx::query_as(rule.breaches).fetch_all(&mut owner).await.unwrap();
        for (excused, reason) in rule.exceptions {
            assert!(rows.iter().any(|(breach,)| breach == excused), "{excused} ({reason}) breaks no rule any more");
        }
    }
}

#[tokio::test]
async fn a_partition_of_any_parent_is_as_closed_as_its_parent() {
    let base = TestDatabase::new().await;
    let mut owner = base.owner().await;
    let parents = "select format('%s.%s', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'p'";
    let parents: Vec<(String,)> = sqlx::query_as(parents).fetch_all(&mut owner).await.unwrap();
    assert_eq!(parents.len(), 6, "{parents:?}");
    for (parent,) in &parents {
        for made in [true, false] {
            let mut tx = base.begin().await;
            let add = "select vtoc.add_day_partition($1, '2031-07-01')";
            let (answer,): (bool,) = sqlx::query_as(add).bind(parent).fetch_one(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            assert_eq!(answer, made, "{parent}");
        }
        let there =
            format!("select count(*) from pg_class where oid = '{parent}_20310701'::regclass and relispartition");
        assert_eq!(base.count(&there).await, 1);
    }
    assert_eq!(breaches(&mut owner).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_partition_is_made_of_our_tables_only() {
    let mut owner = TestDatabase::new().await.owner().await;
    for other in ["pg_catalog.pg_class", "vtoc.job_ready", "vtoc.job", "vtoc.job_finished_20990101"] {
        let add = format!("select vtoc.add_day_partition('{other}', '2031-07-01')");
        assert!(sqlx::raw_sql(AssertSqlSafe(add)).execute(&mut owner).await.is_err(), "{other}");
    }
}

#[tokio::test]
async fn each_rule_notices_when_it_is_broken() {
    let mutants = [
        ("alter table ops.track disable row level security", "ops.track: row-level security"),
        ("alter table vtoc.receipt no force row level security", "vtoc.receipt: row-level security"),
        ("create table intel.note (id bigint)", "intel.note: row-level security"),
        ("drop policy own_station on logistics.source", "logistics.source: a table with a station"),
        ("drop policy own_station on vtoc.audit", "vtoc.audit: a table with a station"),
        ("create policy wide on ops.track to vtoc_ops using (true)", "ops.track for vtoc_ops: a policy"),
        (
            "create policy wide on ops.track for insert to vtoc_ops with check (true)",
            "ops.track for vtoc_ops: a policy",
        ),
        (
            "create policy wide on vtoc.job_finished_20310701 to vtoc_queue using (true)",
            "vtoc.job_finished_20310701: a partition",
        ),
        ("grant select on vtoc.job_body_20310701 to vtoc_queue", "vtoc.job_body_20310701: a partition"),
        ("alter role vtoc_queue bypassrls", "vtoc_queue: our roles"),
        ("alter role vtoc_test_app inherit", "vtoc_test_app: our roles"),
        ("grant vtoc_intel to vtoc_ops", "vtoc_ops of vtoc_intel: a group role"),
        ("grant execute on function vtoc.clock() to public", "vtoc.clock(): no function"),
        (
            "alter function vtoc.add_day_partition(text, date) reset search_path",
            "vtoc.add_day_partition(text,date): no function",
        ),
        (
            "create function ops.f() returns int language sql as 'select 1'; grant execute on function ops.f() to public",
            "ops.f(): no function",
        ),
        ("grant usage on schema intel to vtoc_ops", "vtoc_ops on schema intel: nobody"),
        ("grant select (id) on logistics.track to vtoc_queue", "vtoc_queue on logistics.track: nobody"),
        ("grant usage on sequence ops.track_id_seq to vtoc_intel", "vtoc_intel on ops.track_id_seq: nobody"),
        ("grant select on vtoc.station to public", "vtoc.station: nothing is granted"),
    ];
    let mut owner = TestDatabase::new().await.owner().await;
    for parent in ["vtoc.job_finished", "vtoc.job_body"] {
        let add = "select vtoc.add_day_partition($1, '2031-07-01')";
        sqlx::query(add).bind(parent).execute(&mut owner).await.unwrap();
    }
    for (mutant, noticed) in mutants {
        let mut tx = owner.begin().await.unwrap();
        sqlx::raw_sql(mutant).execute(&mut *tx).await.unwrap();
        let found = breaches(&mut tx).await;
        assert!(found.iter().any(|breach| breach.starts_with(noticed)), "{mutant}: {found:?}");
        tx.rollback().await.unwrap();
    }
}
