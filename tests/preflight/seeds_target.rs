//! What can be wrong on the target, and between the two.

use peer::core::job_spec::{JobSpec, Secret};
use peer::core::table_choice::{NamePattern, Renaming, TablePattern, TableRule};

use super::bed::{Bed, On, Seed, seed};

const MADE: [&str; 2] = ["CREATE DATABASE {s}", "CREATE TABLE {s}.a (id INT PRIMARY KEY)"];
const GONE: [&str; 1] = ["DROP DATABASE IF EXISTS {s}"];

pub fn seeds(bed: &Bed) -> Vec<Seed> {
    let mut seeds = server(bed);
    seeds.extend(pair());
    seeds.extend(tables(bed));
    seeds
}

fn server(bed: &Bed) -> Vec<Seed> {
    let user = bed.user.clone();
    let as_user = move |spec: &mut JobSpec| {
        spec.sink.endpoint.user = user.clone();
        spec.sink.endpoint.password = Secret::Text("right".into());
    };
    vec![
        seed("a target that is read only", "PEER1363")
            .does(On::Target, &["SET GLOBAL super_read_only = ON"])
            .undone(
                On::Target,
                &["SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF"],
            )
            .fails("super_read_only = ON")
            .mended(On::Target),
        seed("an account that may read only", "PEER1366")
            .does(
                On::Target,
                &["CREATE USER {u} IDENTIFIED BY 'right'", "GRANT SELECT ON *.* TO {u}"],
            )
            .undone(On::Target, &["DROP USER IF EXISTS {u}"])
            .spec(as_user.clone())
            .fails("no INSERT, UPDATE, DELETE, CREATE")
            .mended(On::Target),
        seed("an account that may not try a change of definitions", "PEER1366")
            .does(
                On::Target,
                &[
                    "CREATE USER {u} IDENTIFIED BY 'right'",
                    "GRANT ALL ON {s}.* TO {u}",
                    "GRANT ALL ON {m}.* TO {u}",
                    "GRANT REPLICATION CLIENT ON *.* TO {u}",
                ],
            )
            .undone(On::Target, &["DROP USER IF EXISTS {u}"])
            .spec(as_user)
            .warns("no CREATE, ALTER, INDEX, DROP, REFERENCES")
            .mended(On::Target),
        seed("an event that is enabled", "PEER1813")
            .does(On::Target, &MADE)
            .does(
                On::Target,
                &["CREATE EVENT {s}.nightly ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01' DO DELETE FROM {s}.a"],
            )
            .undone(On::Target, &GONE)
            .warns("{s}.nightly enabled")
            .mended(On::Target),
        // As scripts/mysql starts them.
        seed("commits that a crash may lose", "PEER1814")
            .undone(
                On::Target,
                &[
                    "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
                    "RESET PERSIST IF EXISTS innodb_flush_log_at_trx_commit",
                ],
            )
            .warns("innodb_flush_log_at_trx_commit")
            .mended(On::Target),
        seed("a target that replicates", "PEER1815")
            .does(
                On::Target,
                &[
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'none'",
                    "START REPLICA",
                ],
            )
            .undone(On::Target, &["STOP REPLICA", "RESET REPLICA ALL"])
            .warns("it replicates from another server")
            .mended(On::Target),
        seed("keys that the target wants and a table has not", "PEER1817")
            .does(On::Source, &["CREATE TABLE {s}.k (v INT)"])
            .undone(On::Source, &["DROP TABLE {s}.k"])
            .sets(On::Target, "sql_require_primary_key", "ON", "OFF")
            .spec(|spec| spec.tables[0].table = "k".into())
            .fails("no key in {s}.k")
            .mended(On::Target),
        seed("keys that the target makes itself", "PEER1817")
            .does(On::Source, &["CREATE TABLE {s}.k (v INT)"])
            .undone(On::Source, &["DROP TABLE {s}.k"])
            .sets(On::Target, "sql_generate_invisible_primary_key", "ON", "OFF")
            .spec(|spec| spec.tables[0].table = "k".into())
            .warns("no key in {s}.k")
            .mended(On::Target),
    ]
}

fn pair() -> Vec<Seed> {
    vec![
        seed("one server_id for both", "PEER1818")
            .sets(On::Source, "server_id", "4000000001", "4000000001")
            .sets(On::Target, "server_id", "4000000001", "4000000002")
            .warns("both 4000000001")
            .mended(On::Target),
        seed("a source newer than the target", "PEER1819")
            .facts(|facts| facts.server.version = "99.1.0".into())
            .warns("99.1.0 to"),
        seed("a target that takes small packets", "PEER1820")
            .sets(On::Target, "max_allowed_packet", "1048576", "67108864")
            .warns("1048576")
            .mended(On::Target),
        seed("names in another case, folded there", "PEER1821")
            .facts(|facts| {
                facts.server.lower_case_table_names = 2;
                facts.tables[0].target.table = "A".into();
            })
            .warns("2 on the source, 0 on the target"),
        seed("a collation that the target lacks", "PEER1822")
            .facts(|facts| facts.tables[0].collation = Some("utf8mb4_uca1400_ai_ci".into()))
            .fails("does not know utf8mb4_uca1400_ai_ci of {s}.a"),
        seed("a zone that the target does not know", "PEER1827")
            .facts(|facts| facts.server.time_zone = "Mars/Olympus".into())
            .warns("Mars/Olympus"),
        seed("machines in different zones", "PEER1827")
            .facts(|facts| facts.server.utc_offset_minutes += 120)
            .warns("minutes from UTC"),
    ]
}

fn tables(bed: &Bed) -> Vec<Seed> {
    vec![
        seed("rows where the copy shall go", "PEER1824")
            .does(On::Target, &MADE)
            .does(On::Target, &["INSERT INTO {s}.a VALUES (1)"])
            .undone(On::Target, &GONE)
            .fails("rows in it")
            .mended(On::Target),
        seed("a table of another form", "PEER1824")
            .does(
                On::Target,
                &["CREATE DATABASE {s}", "CREATE TABLE {s}.a (id BIGINT PRIMARY KEY, v INT)"],
            )
            .undone(On::Target, &GONE)
            .fails("column `id` of another type")
            .mended(On::Target),
        seed("a trigger on the target", "PEER1823")
            .does(On::Target, &MADE)
            .does(
                On::Target,
                &["CREATE TRIGGER {s}.twice BEFORE INSERT ON {s}.a FOR EACH ROW SET NEW.id = NEW.id + 1"],
            )
            .undone(On::Target, &GONE)
            .fails("{s}.twice")
            .mended(On::Target),
        seed("a child outside of the job", "PEER1825")
            .does(On::Target, &MADE)
            .does(
                On::Target,
                &["CREATE TABLE {s}.own (id INT PRIMARY KEY, a INT, FOREIGN KEY (a) REFERENCES {s}.a (id))"],
            )
            .undone(On::Target, &GONE)
            .warns("{s}.own refer to tables of the job")
            .mended(On::Target),
        other("another job in the same table", "{m}", "{}").fails("job other writes {s}.a, from {s}.a"),
        other("another job, of a schema of its own", "{m}_b", "{}").warns("of another schema of peer's wrote {s}.a"),
        other("another job whose keys may clash", "{m}", BELOW_TEN)
            .spec(filtered(bed, "id <= 9"))
            .fails("job other writes {s}.a"),
        other("another job whose keys cannot clash", "{m}", BELOW_TEN)
            .spec(filtered(bed, "id >= 10"))
            .finds("keys that cannot clash"),
    ]
}

/// What a job leaves of `a` with the rows below 10.
const BELOW_TEN: &str = r#"{"name":{"schema":"{s}","table":"a"},"columns":[],"create_sql":"","has_secondary_unique":false,"map":{"to":{"schema":"{s}","table":"a"},"filter":"id < 10"}}"#;

/// The tables of another job in a schema of peer's.
fn other(name: &'static str, meta: &str, definition: &str) -> Seed {
    seed(name, "PEER1826")
        .does(
            On::Target,
            &[
                &format!("CREATE DATABASE {meta}"),
                &format!("CREATE TABLE {meta}.fence (job VARCHAR(64)) COMMENT = 'peer-meta v1'"),
                &format!(
                    "CREATE TABLE {meta}.shape (job VARCHAR(64), schema_name VARCHAR(64), table_name VARCHAR(64), definition TEXT)"
                ),
                &format!("INSERT INTO {meta}.shape VALUES ('other', '{{s}}', 'a', '{definition}')"),
            ],
        )
        .undone(On::Target, &[&format!("DROP DATABASE IF EXISTS {meta}")])
}

/// A job of `a` with a filter.
fn filtered(bed: &Bed, filter: &'static str) -> impl Fn(&mut JobSpec) + Send + Sync + 'static {
    let schema = bed.schema.base.clone();
    move |spec| {
        spec.tables.clear();
        spec.selection.rules = vec![TableRule {
            which: TablePattern {
                schema: NamePattern::Exact(schema.clone()),
                table: Some(NamePattern::Exact("a".into())),
            },
            filter: Some(filter.to_owned()),
            columns: Vec::new(),
            to: Renaming::default(),
            merge: false,
        }];
    }
}
