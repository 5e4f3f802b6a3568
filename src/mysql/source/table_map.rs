//! TABLE_MAP events: ids, types and how they fit the shape.
//!
//! Fed by the assembler; tells `rows_event` which table a row belongs to, or that it is out of scope. A map whose types do
//! not fit the known shape is an error that names the column: rows would be read wrongly.

use std::collections::HashMap;
use std::sync::Arc;

use crate::core::gtid_set::Gtid;
use crate::core::shape::{ColumnKind, Storage, TableShape};
use crate::mysql::source::event::{Cursor, Damaged};
use crate::mysql::source::scope::{Scope, ScopeTable};

/// Maps kept before all are forgotten; each statement sends its maps again, so this only costs a check.
const MAPS_MAX: usize = 1024;

/// Why a table map cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MapError {
    /// The bytes are no table map.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The table is not what the shape says.
    #[error("{object}: found {found}, expected {expected}")]
    Misfit {
        object: String,
        found: String,
        expected: String,
    },
}

/// What the ids of the stream stand for.
#[derive(Debug, Default)]
pub(super) struct TableMaps {
    /// None: out of scope.
    known: HashMap<u64, Known>,
}

#[derive(Debug)]
struct Known {
    /// The event's body: the same id with the same bytes needs no second look.
    body: Box<[u8]>,
    table: Option<Arc<ScopeTable>>,
}

impl TableMaps {
    /// The table of an id: None when no map named it, Some(None) when it is out of scope.
    pub fn table(&self, id: u64) -> Option<Option<&Arc<ScopeTable>>> {
        self.known.get(&id).map(|known| known.table.as_ref())
    }

    /// Forgets all ids: a server that restarted counts them anew.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Takes the body of a TABLE_MAP event of a transaction, given with its id and whether it may be prepared.
    pub fn learn(&mut self, scope: &Scope, of: Option<(&Gtid, bool)>, body: &[u8]) -> Result<(), MapError> {
        let id = table_id(body)?;
        if self.known.get(&id).is_some_and(|known| *known.body == *body) {
            return Ok(());
        }
        let map = TableMap::read(body)?;
        let table = scope.find(map.schema, map.table).cloned();
        // Looked up later than this: its definition is another, its rows come with the copy. The next map is looked at anew.
        let is_covered = |table: &Arc<ScopeTable>| of.is_some_and(|(gtid, _)| table.since.contains(gtid));
        if table.as_ref().is_some_and(is_covered) {
            // A prepared transaction counts where it ends. Nobody changes its table before: what does not fit has ended by then.
            let may_end_later = of.is_some_and(|(_, may_wait)| may_wait);
            let table = table.filter(|table| may_end_later && check(&table.shape, &map).is_ok());
            let body = Box::default();
            self.known.insert(id, Known { body, table });
            return Ok(());
        }
        if let Some(table) = &table {
            check(&table.shape, &map)?;
        }
        if self.known.len() >= MAPS_MAX {
            self.known.clear();
        }
        self.known.insert(
            id,
            Known {
                body: body.into(),
                table,
            },
        );
        Ok(())
    }
}

/// The id that rows events and table maps begin with.
pub(super) fn table_id(body: &[u8]) -> Result<u64, Damaged> {
    Cursor::new(body)
        .uint(6)
        .map(|id| id as u64)
        .ok_or(Damaged("event without a table id"))
}

/// A table map, not yet believed.
struct TableMap<'a> {
    schema: &'a [u8],
    table: &'a [u8],
    types: &'a [u8],
    metadata: &'a [u8],
    /// SIGNEDNESS of the optional metadata: a bit per numeric column, set for UNSIGNED.
    unsigned: Option<&'a [u8]>,
}

impl<'a> TableMap<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Damaged> {
        Self::read_parts(body).ok_or(Damaged("table map event"))
    }

    fn read_parts(body: &'a [u8]) -> Option<Self> {
        const SIGNEDNESS: usize = 1;
        let mut cursor = Cursor::new(body);
        cursor.skip(8)?;
        let mut name = || {
            let length = cursor.uint(1)?;
            let name = cursor.take(length)?;
            cursor.skip(1)?;
            Some(name)
        };
        let (schema, table) = (name()?, name()?);
        let columns = cursor.packed()?;
        let types = cursor.take(columns)?;
        let length = cursor.packed()?;
        let metadata = cursor.take(length)?;
        cursor.skip(columns.div_ceil(8))?;
        let mut unsigned = None;
        while !cursor.rest().is_empty() {
            let field = cursor.uint(1)?;
            let length = cursor.packed()?;
            let value = cursor.take(length)?;
            if field == SIGNEDNESS {
                unsigned = Some(value);
            }
        }
        Some(Self {
            schema,
            table,
            types,
            metadata,
            unsigned,
        })
    }
}

const TYPE_SHORT_DECIMAL: u8 = 0;
const TYPE_TINY: u8 = 1;
const TYPE_LONG: u8 = 3;
const TYPE_FLOAT: u8 = 4;
const TYPE_DOUBLE: u8 = 5;
const TYPE_LONGLONG: u8 = 8;
const TYPE_INT24: u8 = 9;
const TYPE_DATE: u8 = 10;
const TYPE_YEAR: u8 = 13;
const TYPE_NEWDATE: u8 = 14;
const TYPE_VARCHAR: u8 = 15;
const TYPE_BIT: u8 = 16;
const TYPE_TIMESTAMP2: u8 = 17;
const TYPE_DATETIME2: u8 = 18;
const TYPE_TIME2: u8 = 19;
const TYPE_VECTOR: u8 = 242;
const TYPE_JSON: u8 = 245;
const TYPE_DECIMAL: u8 = 246;
const TYPE_ENUM: u8 = 247;
const TYPE_SET: u8 = 248;
const TYPE_BLOB: u8 = 252;
const TYPE_STRING: u8 = 254;
const TYPE_GEOMETRY: u8 = 255;

/// Fails, naming the first column that does not fit.
fn check(shape: &TableShape, map: &TableMap<'_>) -> Result<(), MapError> {
    let misfit = |object: String, found: String, expected: String| Err(MapError::Misfit { object, found, expected });
    if map.types.len() != shape.columns.len() {
        return misfit(
            shape.name.to_string(),
            format!("{} columns", map.types.len()),
            format!("{} columns", shape.columns.len()),
        );
    }
    let mut metadata = Cursor::new(map.metadata);
    let mut numeric_at = 0;
    for (column, kind) in shape.columns.iter().zip(map.types) {
        let meta = metadata.take(metadata_bytes(*kind)).ok_or(Damaged("table map metadata"))?;
        if !fits(&column.kind, *kind, meta) {
            return misfit(
                format!("{}.{}", shape.name, column.name),
                format!("binlog type {kind} {meta:?}"),
                format!("{:?}", Brief(&column.kind)),
            );
        }
        if is_numeric(*kind) {
            let is_unsigned = map.unsigned.map(|bits| {
                bits.get(numeric_at / 8)
                    .is_some_and(|byte| byte & (0x80 >> (numeric_at % 8)) != 0)
            });
            numeric_at += 1;
            if let (ColumnKind::Int { unsigned, .. }, Some(found)) = (&column.kind, is_unsigned)
                && *unsigned != found
            {
                let word = |unsigned: bool| if unsigned { "UNSIGNED" } else { "signed" }.to_owned();
                return misfit(format!("{}.{}", shape.name, column.name), word(found), word(*unsigned));
            }
        }
    }
    Ok(())
}

/// A kind without the labels of an ENUM or SET, for errors.
struct Brief<'a>(&'a ColumnKind);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ColumnKind::Enum { members } => write!(f, "Enum of {} members", members.len()),
            ColumnKind::Set { members } => write!(f, "Set of {} members", members.len()),
            kind => kind.fmt(f),
        }
    }
}

fn is_numeric(kind: u8) -> bool {
    matches!(
        kind,
        TYPE_SHORT_DECIMAL..=TYPE_DOUBLE | TYPE_LONGLONG | TYPE_INT24 | TYPE_YEAR | TYPE_DECIMAL
    )
}

fn metadata_bytes(kind: u8) -> usize {
    match kind {
        TYPE_FLOAT | TYPE_DOUBLE | TYPE_TIMESTAMP2 | TYPE_DATETIME2 | TYPE_TIME2 | TYPE_VECTOR | TYPE_JSON | TYPE_BLOB
        | TYPE_GEOMETRY => 1,
        TYPE_VARCHAR | TYPE_BIT | TYPE_DECIMAL | TYPE_ENUM | TYPE_SET | TYPE_STRING => 2,
        _ => 0,
    }
}

/// The type byte and metadata of a table map are those of this kind.
fn fits(kind: &ColumnKind, found: u8, meta: &[u8]) -> bool {
    let pack = |kind: &ColumnKind| match kind.storage() {
        Storage::Fixed(bytes) | Storage::Prefixed(bytes) => bytes,
    };
    match (kind, found, meta) {
        (
            ColumnKind::Int {
                bytes: bytes @ 1..=2, ..
            },
            found,
            _,
        ) => found == TYPE_TINY + bytes - 1,
        (ColumnKind::Int { bytes: 3, .. }, TYPE_INT24, _) => true,
        (ColumnKind::Int { bytes: 4, .. }, TYPE_LONG, _) => true,
        (ColumnKind::Int { bytes: 8, .. }, TYPE_LONGLONG, _) => true,
        (ColumnKind::Decimal { precision, scale }, TYPE_DECIMAL, [p, s]) => precision == p && scale == s,
        (ColumnKind::Float, TYPE_FLOAT, [4]) | (ColumnKind::Double, TYPE_DOUBLE, [8]) => true,
        (ColumnKind::Bit { bits }, TYPE_BIT, [rest, whole]) => u16::from(*bits) == u16::from(*whole) * 8 + u16::from(*rest),
        (ColumnKind::Year, TYPE_YEAR, _) | (ColumnKind::Date, TYPE_DATE | TYPE_NEWDATE, _) => true,
        (ColumnKind::Time { fsp }, TYPE_TIME2, [found]) => fsp == found,
        (ColumnKind::DateTime { fsp }, TYPE_DATETIME2, [found]) => fsp == found,
        (ColumnKind::Timestamp { fsp }, TYPE_TIMESTAMP2, [found]) => fsp == found,
        (ColumnKind::Char { bytes_max } | ColumnKind::Binary { bytes: bytes_max }, TYPE_STRING, [high, low]) => {
            // The length's bits 8 and 9 hide, inverted, in bits 4 and 5 of the type byte.
            let length = (u32::from(!high & 0x30) << 4) | u32::from(*low);
            high | 0x30 == TYPE_STRING && *bytes_max == length
        }
        (ColumnKind::VarChar { bytes_max } | ColumnKind::VarBinary { bytes_max }, TYPE_VARCHAR, [low, high]) => {
            *bytes_max == u32::from(u16::from_le_bytes([*low, *high]))
        }
        (ColumnKind::Blob { length_bytes } | ColumnKind::Text { length_bytes }, TYPE_BLOB, [found]) => length_bytes == found,
        (ColumnKind::Json, TYPE_JSON, [4])
        | (ColumnKind::Geometry, TYPE_GEOMETRY, [4])
        | (ColumnKind::Vector, TYPE_VECTOR, [4]) => true,
        (ColumnKind::Enum { .. }, TYPE_STRING, [TYPE_ENUM, bytes]) | (ColumnKind::Set { .. }, TYPE_STRING, [TYPE_SET, bytes]) => {
            pack(kind) == *bytes
        }
        _ => false,
    }
}

/// The type byte and metadata by which a table map names this kind; None: none names it.
pub(in crate::mysql) fn binlog_type(kind: &ColumnKind) -> Option<(u8, Vec<u8>)> {
    let pack = match kind.storage() {
        Storage::Fixed(bytes) | Storage::Prefixed(bytes) => bytes,
    };
    let named = match kind {
        ColumnKind::Int { bytes, .. } => (
            match bytes {
                1..=2 => TYPE_TINY + bytes - 1,
                3 => TYPE_INT24,
                4 => TYPE_LONG,
                _ => TYPE_LONGLONG,
            },
            vec![],
        ),
        ColumnKind::Decimal { precision, scale } => (TYPE_DECIMAL, vec![*precision, *scale]),
        ColumnKind::Float => (TYPE_FLOAT, vec![4]),
        ColumnKind::Double => (TYPE_DOUBLE, vec![8]),
        ColumnKind::Bit { bits } => (TYPE_BIT, vec![bits % 8, bits / 8]),
        ColumnKind::Year => (TYPE_YEAR, vec![]),
        ColumnKind::Date => (TYPE_DATE, vec![]),
        ColumnKind::Time { fsp } => (TYPE_TIME2, vec![*fsp]),
        ColumnKind::DateTime { fsp } => (TYPE_DATETIME2, vec![*fsp]),
        ColumnKind::Timestamp { fsp } => (TYPE_TIMESTAMP2, vec![*fsp]),
        ColumnKind::Char { bytes_max: length } | ColumnKind::Binary { bytes: length } => {
            let [low, high, ..] = length.to_le_bytes();
            (TYPE_STRING, vec![TYPE_STRING ^ ((high & 3) << 4), low])
        }
        ColumnKind::VarChar { bytes_max } | ColumnKind::VarBinary { bytes_max } => {
            (TYPE_VARCHAR, u16::try_from(*bytes_max).ok()?.to_le_bytes().to_vec())
        }
        ColumnKind::Blob { length_bytes } | ColumnKind::Text { length_bytes } => (TYPE_BLOB, vec![*length_bytes]),
        ColumnKind::Json => (TYPE_JSON, vec![4]),
        ColumnKind::Geometry => (TYPE_GEOMETRY, vec![4]),
        ColumnKind::Vector => (TYPE_VECTOR, vec![4]),
        ColumnKind::Enum { .. } => (TYPE_STRING, vec![TYPE_ENUM, pack]),
        ColumnKind::Set { .. } => (TYPE_STRING, vec![TYPE_SET, pack]),
    };
    fits(kind, named.0, &named.1).then_some(named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::row::tests::shape;
    use crate::core::shape::ShapeId;

    fn scope(kinds: Vec<ColumnKind>) -> Scope {
        Scope::new(vec![(ShapeId(3), shape(kinds, 1))])
    }

    fn map(table: &str, types: &[u8], metadata: &[u8], optional: &[u8]) -> Vec<u8> {
        let count = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 1, b's', 0, count(table.as_bytes())];
        body.extend_from_slice(table.as_bytes());
        body.extend_from_slice(&[0, count(types)]);
        body.extend_from_slice(types);
        body.push(count(metadata));
        body.extend_from_slice(metadata);
        body.extend(vec![0xff; types.len().div_ceil(8)]);
        body.extend_from_slice(optional);
        body
    }

    const INT: ColumnKind = ColumnKind::Int {
        bytes: 4,
        unsigned: false,
    };

    #[test]
    fn a_table_in_scope_is_known_by_its_id_and_others_are_skipped() {
        let mut maps = TableMaps::default();
        let scope = scope(vec![INT, ColumnKind::VarChar { bytes_max: 400 }]);
        assert!(maps.table(7).is_none());
        maps.learn(&scope, None, &map("t", &[3, 15], &[0x90, 1], &[])).unwrap();
        assert_eq!(maps.table(7).unwrap().unwrap().id, ShapeId(3));
        maps.learn(&scope, None, &map("u", &[1], &[], &[])).unwrap();
        assert!(maps.table(7).unwrap().is_none());
    }

    #[test]
    fn a_column_that_changed_is_named() {
        let mut maps = TableMaps::default();
        let scope = scope(vec![INT, ColumnKind::Char { bytes_max: 1020 }]);
        maps.learn(&scope, None, &map("t", &[3, 254], &[0xce, 0xfc], &[])).unwrap();
        let error = maps
            .learn(&scope, None, &map("t", &[3, 254], &[0xde, 0xfc], &[]))
            .unwrap_err();
        assert!(error.to_string().contains("s.t.c1"), "{error}");
        let error = maps
            .learn(&scope, None, &map("t", &[3, 254], &[0xce, 0xfc], &[1, 1, 0x80]))
            .unwrap_err();
        assert!(error.to_string().contains("UNSIGNED"), "{error}");
        let error = maps.learn(&scope, None, &map("t", &[3], &[], &[])).unwrap_err();
        assert!(error.to_string().contains("expected 2 columns"), "{error}");
    }

    #[test]
    fn every_kind_has_a_name_that_fits_it() {
        let labels = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        let kinds = [1, 2, 3, 4, 8]
            .map(|bytes| ColumnKind::Int { bytes, unsigned: true })
            .into_iter();
        let kinds = kinds.chain((0..=6).map(|fsp| ColumnKind::DateTime { fsp }));
        let kinds = kinds.chain([1, 255, 256, 800, 1020].map(|bytes_max| ColumnKind::Char { bytes_max }));
        let kinds = kinds.chain([1, 255].map(|bytes| ColumnKind::Binary { bytes }));
        let kinds = kinds.chain([1, 255, 256, 65_535].map(|bytes_max| ColumnKind::VarChar { bytes_max }));
        let kinds = kinds.chain([1, 8, 9, 64].map(|bits| ColumnKind::Bit { bits }));
        let kinds = kinds.chain([1, 255, 256].map(|count| ColumnKind::Enum { members: labels(count) }));
        let kinds = kinds.chain([1, 8, 9, 64].map(|count| ColumnKind::Set { members: labels(count) }));
        let kinds = kinds.chain((1..=4).map(|length_bytes| ColumnKind::Text { length_bytes }));
        let kinds = kinds.chain([
            ColumnKind::Decimal {
                precision: 65,
                scale: 30,
            },
            ColumnKind::Float,
            ColumnKind::Double,
            ColumnKind::Year,
            ColumnKind::Date,
            ColumnKind::Time { fsp: 3 },
            ColumnKind::Timestamp { fsp: 6 },
            ColumnKind::Json,
            ColumnKind::Geometry,
            ColumnKind::Vector,
        ]);
        for kind in kinds {
            let (found, meta) = binlog_type(&kind).unwrap_or_else(|| panic!("{kind:?} has none"));
            assert_eq!(meta.len(), metadata_bytes(found), "{kind:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_map_or_an_error(body in prop::collection::vec(any::<u8>(), 0..60), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let scope = scope(vec![INT, ColumnKind::VarChar { bytes_max: 400 }]);
            let _ = TableMaps::default().learn(&scope, None, &body);
            let mut real = map("t", &[3, 15], &[0x90, 1], &[1, 1, 0]);
            let at = at.index(real.len());
            real[at] = byte;
            let _ = TableMaps::default().learn(&scope, None, &real);
            real.truncate(at);
            let _ = TableMaps::default().learn(&scope, None, &real);
        }
    }
}
