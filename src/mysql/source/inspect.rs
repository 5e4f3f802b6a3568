//! Reads table definitions from a server: the shapes everything else is decoded and written by.
//!
//! Fed by `flow::source_flow` and preflight with a session and exact names. Refuses what a copy cannot be right for: a missing
//! table, a view, an engine without consistent reads, a type nobody knows. Does not read rows.

use std::collections::BTreeMap;

use mysql_async::prelude::FromValue;

use crate::core::shape::{Column, ColumnKind, RowKey, TableName, TableShape};
use crate::mysql::error::Error;
use crate::mysql::quote;
use crate::mysql::session::Session;
use crate::mysql::source::{cascades, defaults};

/// SHOW CREATE TABLE leaves out engine and character set in some modes of a server, and quotes as it is told.
/// In UTC: a TIMESTAMP's default is shown in the time zone of the session.
const PLAIN_DEFINITIONS: &str = "SET SESSION sql_mode = '', sql_quote_show_create = ON, time_zone = '+00:00'";
/// Makes generated invisible primary keys appear like any other column; else their tables would look keyless (facts F11).
const SHOW_HIDDEN_KEYS: &str = "SET SESSION show_gipk_in_create_table_and_information_schema = ON";
/// Row estimates as the engine has them now, not as they were up to a day ago.
const FRESH_ESTIMATES: &str = "SET SESSION information_schema_stats_expiry = 0";
/// The server is older than the variable: nothing is hidden (before 8.0.30), estimates are fresh (before 8.0.0).
const UNKNOWN_VARIABLE: u16 = 1193;

/// The definitions of `names`, in that order.
///
/// # Errors
/// `Unsuitable` names the first table that is missing, not InnoDB, or has a column of an unknown type.
pub async fn shapes(session: &mut Session, names: &[TableName]) -> Result<Vec<TableShape>, Error> {
    session.execute(PLAIN_DEFINITIONS).await?;
    set_if_known(session, SHOW_HIDDEN_KEYS).await?;
    let mut shapes = Vec::with_capacity(names.len());
    for name in names {
        shapes.push(shape(session, name).await?);
    }
    Ok(shapes)
}

/// The server's estimates of row counts, in the order of `names`; None: unknown.
///
/// # Errors
/// The query failed.
pub async fn row_estimates(session: &mut Session, names: &[TableName]) -> Result<Vec<Option<u64>>, Error> {
    set_if_known(session, FRESH_ESTIMATES).await?;
    let mut estimates = Vec::with_capacity(names.len());
    for name in names {
        let sql = format!("SELECT TABLE_ROWS FROM information_schema.TABLES WHERE {}", of(name));
        estimates.push(session.first::<Option<u64>>(sql).await?.flatten());
    }
    Ok(estimates)
}

async fn set_if_known(session: &mut Session, statement: &str) -> Result<(), Error> {
    match session.execute(statement).await {
        Err(error) if error.server_code() == Some(UNKNOWN_VARIABLE) => Ok(()),
        other => other.map(drop),
    }
}

async fn shape(session: &mut Session, name: &TableName) -> Result<TableShape, Error> {
    check_engine(session, name).await?;
    let columns = columns(session, name).await?;
    let indexes = unique_indexes(session, name).await?;
    let key = choose_key(&indexes, &columns);
    let used = key.as_ref().map(|key| key.index.clone());
    let create = session
        .first::<(String, String)>(format!("SHOW CREATE TABLE {}", quote::table(name)))
        .await?;
    let (_, create_sql) = create.ok_or_else(|| missing(name))?;
    let defaults = defaults::read(session, name, &columns).await?;
    Ok(TableShape {
        name: name.clone(),
        columns,
        map: None,
        has_secondary_unique: indexes.keys().any(|index| Some(index) != used.as_ref()),
        key,
        create_sql,
        defaults: Some(defaults),
        cascades: cascades::read(session, name).await?,
    })
}

async fn check_engine(session: &mut Session, name: &TableName) -> Result<(), Error> {
    let sql = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE {}",
        of(name)
    );
    type Found = (String, String, String, Option<String>);
    let Some((schema, table, kind, engine)) = session.first::<Found>(sql).await? else {
        return Err(missing(name));
    };
    check_spelling(name, &TableName { schema, table })?;
    match engine {
        Some(engine) if kind == "BASE TABLE" && engine.eq_ignore_ascii_case("InnoDB") => Ok(()),
        Some(engine) if kind == "BASE TABLE" => Err(Error::Unsuitable {
            object: name.to_string(),
            found: format!("engine {engine}"),
            expected: "engine InnoDB".into(),
            fix: format!("ALTER TABLE {} ENGINE = InnoDB", quote::table(name)),
        }),
        _ => Err(Error::Unsuitable {
            object: name.to_string(),
            found: kind.to_lowercase(),
            expected: "a base table".into(),
            fix: "name a table in the job, not a view".into(),
        }),
    }
}

/// The binlog spells names as the server does: another spelling would find the table, and none of its changes.
fn check_spelling(name: &TableName, found: &TableName) -> Result<(), Error> {
    if name == found {
        return Ok(());
    }
    Err(Error::Unsuitable {
        object: name.to_string(),
        found: format!("the server spells it {found}"),
        expected: "the server's own spelling".into(),
        fix: format!("write {found} in the job"),
    })
}

fn missing(name: &TableName) -> Error {
    Error::Unsuitable {
        object: name.to_string(),
        found: "no such table on the source, or no privilege to see it".into(),
        expected: "an InnoDB table".into(),
        fix: format!(
            "correct its name in the job, or GRANT SELECT ON {} to the source account",
            quote::table(name)
        ),
    }
}

fn of(name: &TableName) -> String {
    format!(
        "TABLE_SCHEMA = {} AND TABLE_NAME = {}",
        quote::text(&name.schema),
        quote::text(&name.table)
    )
}

const COLUMN_FIELDS: &str = "COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE, EXTRA, CHARACTER_SET_NAME, COLLATION_NAME, \
     CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION";

/// One row of information_schema.COLUMNS.
struct Described {
    data_type: String,
    column_type: String,
    octets: u64,
    precision: u64,
    scale: u64,
    fsp: u64,
}

/// The columns of a table in their order; none when there is no such table.
pub(in crate::mysql) async fn columns(session: &mut Session, name: &TableName) -> Result<Vec<Column>, Error> {
    let sql = format!(
        "SELECT {COLUMN_FIELDS} FROM information_schema.COLUMNS WHERE {} ORDER BY ORDINAL_POSITION",
        of(name)
    );
    let rows = session.rows::<mysql_async::Row>(sql).await?;
    rows.into_iter().map(|row| column(name, row)).collect()
}

fn column(table: &TableName, mut row: mysql_async::Row) -> Result<Column, Error> {
    let row = &mut row;
    let described = Described {
        data_type: take::<String>(row, 1).to_lowercase(),
        column_type: take(row, 2),
        octets: take::<Option<u64>>(row, 7).unwrap_or(0),
        precision: take::<Option<u64>>(row, 8).unwrap_or(0),
        scale: take::<Option<u64>>(row, 9).unwrap_or(0),
        fsp: take::<Option<u64>>(row, 10).unwrap_or(0),
    };
    let name: String = take(row, 0);
    let kind = kind(&described).ok_or_else(|| Error::Unsuitable {
        object: format!("{table}.{name}"),
        found: format!("type {}", described.column_type),
        expected: "a type of MySQL 8.0 to 9.7".into(),
        fix: "leave the table out of the job".into(),
    })?;
    let extra: String = take(row, 4);
    Ok(Column {
        name,
        kind,
        is_nullable: take::<String>(row, 3) == "YES",
        is_generated: extra.contains("VIRTUAL GENERATED") || extra.contains("STORED GENERATED"),
        charset: take(row, 5),
        collation: take(row, 6),
    })
}

/// A field of a row of information_schema, whose types are fixed.
fn take<T: FromValue + Default>(row: &mut mysql_async::Row, at: usize) -> T {
    row.take_opt(at).and_then(Result::ok).unwrap_or_default()
}

fn kind(described: &Described) -> Option<ColumnKind> {
    use ColumnKind as K;
    let unsigned = described.column_type.to_lowercase().contains("unsigned");
    let fsp = u8::try_from(described.fsp).ok()?;
    let bytes_max = u32::try_from(described.octets).ok()?;
    Some(match described.data_type.as_str() {
        "tinyint" => K::Int { bytes: 1, unsigned },
        "smallint" => K::Int { bytes: 2, unsigned },
        "mediumint" => K::Int { bytes: 3, unsigned },
        "int" => K::Int { bytes: 4, unsigned },
        "bigint" => K::Int { bytes: 8, unsigned },
        "decimal" => K::Decimal {
            precision: u8::try_from(described.precision).ok()?,
            scale: u8::try_from(described.scale).ok()?,
        },
        "float" => K::Float,
        "double" => K::Double,
        "bit" => K::Bit {
            bits: u8::try_from(described.precision).ok()?,
        },
        "year" => K::Year,
        "date" => K::Date,
        "time" => K::Time { fsp },
        "datetime" => K::DateTime { fsp },
        "timestamp" => K::Timestamp { fsp },
        "char" => K::Char { bytes_max },
        "varchar" => K::VarChar { bytes_max },
        "binary" => K::Binary { bytes: bytes_max },
        "varbinary" => K::VarBinary { bytes_max },
        "tinyblob" => K::Blob { length_bytes: 1 },
        "blob" => K::Blob { length_bytes: 2 },
        "mediumblob" => K::Blob { length_bytes: 3 },
        "longblob" => K::Blob { length_bytes: 4 },
        "tinytext" => K::Text { length_bytes: 1 },
        "text" => K::Text { length_bytes: 2 },
        "mediumtext" => K::Text { length_bytes: 3 },
        "longtext" => K::Text { length_bytes: 4 },
        "json" => K::Json,
        "vector" => K::Vector,
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geomcollection" | "geometrycollection" => K::Geometry,
        "enum" => K::Enum {
            members: labels(&described.column_type),
        },
        "set" => K::Set {
            members: labels(&described.column_type),
        },
        _ => return None,
    })
}

/// The labels of `enum('a','b''c')`: quotes are doubled, and `\`, NUL, newline and carriage return are escaped.
fn labels(column_type: &str) -> Vec<String> {
    let mut labels = Vec::new();
    let mut characters = column_type.chars().skip_while(|c| *c != '\'').peekable();
    while characters.next_if_eq(&'\'').is_some() {
        let mut label = String::new();
        while let Some(character) = characters.next() {
            match character {
                '\'' if characters.next_if_eq(&'\'').is_some() => label.push('\''),
                '\'' => break,
                '\\' => label.extend(characters.next().map(unescape)),
                other => label.push(other),
            }
        }
        labels.push(label);
        characters.next_if_eq(&',');
    }
    labels
}

fn unescape(character: char) -> char {
    match character {
        '0' => '\0',
        'n' => '\n',
        'r' => '\r',
        other => other,
    }
}

/// One column of a unique index.
struct Part {
    /// None: an expression.
    column: Option<String>,
    /// The whole column, and the index is visible (FORCE INDEX refuses an invisible one).
    is_usable: bool,
}

type Indexes = BTreeMap<String, Vec<Part>>;

async fn unique_indexes(session: &mut Session, name: &TableName) -> Result<Indexes, Error> {
    let sql = format!(
        "SELECT INDEX_NAME, COLUMN_NAME, SUB_PART IS NULL AND IS_VISIBLE = 'YES' FROM information_schema.STATISTICS \
         WHERE NON_UNIQUE = 0 AND {} ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        of(name)
    );
    let mut indexes = Indexes::new();
    for (index, column, is_usable) in session.rows::<(String, Option<String>, bool)>(sql).await? {
        indexes.entry(index).or_default().push(Part { column, is_usable });
    }
    Ok(indexes)
}

/// PRIMARY, else the first by name of the unique keys of whole, NOT NULL, stored columns.
fn choose_key(indexes: &Indexes, columns: &[Column]) -> Option<RowKey> {
    let usable = |(index, parts): (&String, &Vec<Part>)| {
        let columns = parts
            .iter()
            .map(|part| key_column(part, columns))
            .collect::<Option<Vec<_>>>()?;
        Some(RowKey {
            index: index.clone(),
            columns,
        })
    };
    let primary = indexes.get_key_value("PRIMARY").and_then(usable);
    primary.or_else(|| indexes.iter().find_map(usable))
}

fn key_column(part: &Part, columns: &[Column]) -> Option<usize> {
    let name = part.column.as_ref().filter(|_| part.is_usable)?;
    let at = columns.iter().position(|column| column.name == *name)?;
    (!columns[at].is_nullable).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, is_nullable: bool) -> Column {
        Column {
            name: name.into(),
            kind: ColumnKind::Float,
            is_nullable,
            is_generated: false,
            charset: None,
            collation: None,
        }
    }

    fn index(parts: &[(&str, bool)]) -> Vec<Part> {
        parts
            .iter()
            .map(|(name, is_usable)| Part {
                column: Some((*name).into()),
                is_usable: *is_usable,
            })
            .collect()
    }

    #[test]
    fn another_spelling_of_a_table_is_refused() {
        let name = |schema: &str, table: &str| TableName {
            schema: schema.into(),
            table: table.into(),
        };
        assert!(check_spelling(&name("Shop", "t"), &name("Shop", "t")).is_ok());
        let error = check_spelling(&name("Shop", "T"), &name("shop", "t")).unwrap_err();
        assert!(error.to_string().contains("shop.t"), "{error}");
    }

    #[test]
    fn labels_lose_their_quotes_and_escapes() {
        assert_eq!(labels(r"enum('a','b''c','d,e','','f\\g')"), ["a", "b'c", "d,e", "", r"f\g"]);
    }

    #[test]
    fn the_primary_key_is_taken_before_any_other() {
        let columns = [column("a", false), column("b", false)];
        let indexes = Indexes::from([
            ("A".into(), index(&[("a", true)])),
            ("PRIMARY".into(), index(&[("b", true), ("a", true)])),
        ]);
        let key = choose_key(&indexes, &columns).unwrap();
        assert_eq!((key.index.as_str(), key.columns), ("PRIMARY", vec![1, 0]));
    }

    #[test]
    fn a_unique_key_over_a_prefix_or_a_nullable_column_does_not_identify_rows() {
        let columns = [column("a", false), column("b", true), column("c", false)];
        let indexes = Indexes::from([("A".into(), index(&[("a", false)])), ("B".into(), index(&[("b", true)]))]);
        assert_eq!(choose_key(&indexes, &columns), None);
        let indexes = Indexes::from([("A".into(), index(&[("a", false)])), ("C".into(), index(&[("c", true)]))]);
        assert_eq!(choose_key(&indexes, &columns).unwrap().index, "C");
    }
}
