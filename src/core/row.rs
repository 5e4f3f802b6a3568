//! Reads a row image column by column: offsets from the shape, bounds checked, nothing copied.
//!
//! The one place that knows how a value is delimited inside a canonical row. Used by the rows-event decoder (to find where a
//! row ends), by keys, by the applier and by the chunk reader (to build rows). Does not interpret values: `core::value`.

use bytes::{BufMut, BytesMut};

use crate::core::change::Row;
use crate::core::image::is_set;
use crate::core::shape::{ColumnKind, Storage, TableShape};

/// The bytes are not a row of this shape, or the values cannot be one. Nothing was changed; a stream that holds such a row
/// cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// The row ends inside a column.
    #[error("row ends in column {column}: expected {expected} bytes, found {found}")]
    Short {
        /// Ordinal from 0; the number of columns when the null bitmap itself is cut.
        column: usize,
        /// Bytes it needs.
        expected: usize,
        /// Bytes that are left.
        found: usize,
    },
    /// Bytes follow the last column.
    #[error("row is longer than its columns: expected {expected} bytes, found {found}")]
    Long {
        /// Bytes the columns take.
        expected: usize,
        /// Bytes given.
        found: usize,
    },
    /// The number of values is not the number of columns.
    #[error("row values: expected {expected}, found {found}")]
    Count {
        /// Columns of the shape.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A value to be put in has a length its column cannot have.
    #[error(
        "value of column {column}: expected at most {expected} bytes, exactly so many when the length is fixed, found {found}"
    )]
    Length {
        /// Ordinal from 0.
        column: usize,
        /// The only or the longest possible length.
        expected: usize,
        /// The length given.
        found: usize,
    },
    /// A key column is NULL or the key names a column that is not there.
    #[error("key column {column}: expected a value, found none")]
    NoKeyValue {
        /// Ordinal from 0.
        column: usize,
    },
}

/// How the values of one table lie in its rows. Made once per shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    columns: Vec<Storage>,
    json: Vec<bool>,
    bitmap_bytes: usize,
}

impl RowLayout {
    /// The layout of a shape's rows.
    #[must_use]
    pub fn new(shape: &TableShape) -> Self {
        let columns: Vec<_> = shape.columns.iter().map(|column| column.kind.storage()).collect();
        let json = shape
            .columns
            .iter()
            .map(|column| matches!(column.kind, ColumnKind::Json))
            .collect();
        let bitmap_bytes = columns.len().div_ceil(8);
        Self {
            columns,
            json,
            bitmap_bytes,
        }
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Length of the row that `bytes` begins with; more may follow.
    pub fn row_bytes(&self, bytes: &[u8]) -> Result<usize, RowError> {
        let bitmap = self.bitmap(bytes)?;
        let mut at = self.bitmap_bytes;
        for (column, storage) in self.columns.iter().enumerate() {
            if !is_null(bitmap, column) {
                at = value_range(*storage, bytes, at, column)?.1;
            }
        }
        Ok(at)
    }

    /// Puts one entry per column into `values` (emptied first): None for NULL, else the value without its length prefix.
    pub fn split<'a>(&self, row: &'a [u8], values: &mut Vec<Option<&'a [u8]>>) -> Result<(), RowError> {
        values.clear();
        let bitmap = self.bitmap(row)?;
        let mut at = self.bitmap_bytes;
        for (column, storage) in self.columns.iter().enumerate() {
            if is_null(bitmap, column) {
                values.push(None);
            } else {
                let (start, end) = value_range(*storage, row, at, column)?;
                values.push(Some(&row[start..end]));
                at = end;
            }
        }
        if at == row.len() {
            Ok(())
        } else {
            Err(RowError::Long {
                expected: at,
                found: row.len(),
            })
        }
    }

    /// The column holds JSON.
    #[must_use]
    pub fn is_json(&self, column: usize) -> bool {
        self.json.get(column).copied().unwrap_or(false)
    }

    /// Reads an image of the columns in `present` only, at the front of `bytes`; more may follow. Puts one entry per column into
    /// `values` (emptied first), None also for a column that is not there. Returns the image's length.
    pub fn split_some<'a>(&self, bytes: &'a [u8], present: &[u8], values: &mut Vec<Option<&'a [u8]>>) -> Result<usize, RowError> {
        values.clear();
        let columns = (0..self.columns.len()).filter(|at| is_set(present, *at)).count();
        let mut at = columns.div_ceil(8);
        let nulls = bytes.get(..at).ok_or(RowError::Short {
            column: self.columns.len(),
            expected: at,
            found: bytes.len(),
        })?;
        let mut seen = 0;
        for (column, storage) in self.columns.iter().enumerate() {
            if !is_set(present, column) {
                values.push(None);
                continue;
            }
            if is_null(nulls, seen) {
                values.push(None);
            } else {
                let (start, end) = value_range(*storage, bytes, at, column)?;
                values.push(Some(&bytes[start..end]));
                at = end;
            }
            seen += 1;
        }
        Ok(at)
    }

    /// Appends the image of the columns in `present` that a whole row holds: the inverse of `split_some`.
    pub fn push_some(&self, row: &[u8], present: &[u8], image: &mut Vec<u8>) -> Result<(), RowError> {
        let bitmap = self.bitmap(row)?;
        let nulls = image.len();
        let columns = (0..self.columns.len()).filter(|at| is_set(present, *at)).count();
        image.resize(nulls + columns.div_ceil(8), 0);
        let (mut at, mut seen) = (self.bitmap_bytes, 0);
        for (column, storage) in self.columns.iter().enumerate() {
            let is_in = is_set(present, column);
            if !is_null(bitmap, column) {
                let end = value_range(*storage, row, at, column)?.1;
                if is_in {
                    image.extend_from_slice(&row[at..end]);
                }
                at = end;
            } else if is_in {
                image[nulls + seen / 8] |= 1 << (seen % 8);
            }
            seen += usize::from(is_in);
        }
        Ok(())
    }

    /// The row of these values: the inverse of `split`.
    pub fn build(&self, values: &[Option<&[u8]>]) -> Result<Row, RowError> {
        if values.len() != self.columns.len() {
            return Err(RowError::Count {
                expected: self.columns.len(),
                found: values.len(),
            });
        }
        let size: usize = values.iter().flatten().map(|value| value.len() + 4).sum();
        let mut row = BytesMut::with_capacity(self.bitmap_bytes + size);
        row.put_bytes(0, self.bitmap_bytes);
        for (column, (storage, value)) in self.columns.iter().zip(values).enumerate() {
            match value {
                None => row[column / 8] |= 1 << (column % 8),
                Some(value) => put_value(&mut row, *storage, value, column)?,
            }
        }
        Ok(Row(row.freeze()))
    }

    fn bitmap<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], RowError> {
        let short = RowError::Short {
            column: self.columns.len(),
            expected: self.bitmap_bytes,
            found: bytes.len(),
        };
        bytes.get(..self.bitmap_bytes).ok_or(short)
    }
}

fn is_null(bitmap: &[u8], column: usize) -> bool {
    bitmap[column / 8] & (1 << (column % 8)) != 0
}

/// Start and end of the value whose length prefix, if it has one, stands at `at`.
fn value_range(storage: Storage, bytes: &[u8], at: usize, column: usize) -> Result<(usize, usize), RowError> {
    let (start, length) = match storage {
        Storage::Fixed(length) => (at, usize::from(length)),
        Storage::Prefixed(prefix) => {
            let start = at + usize::from(prefix);
            let short = RowError::Short {
                column,
                expected: usize::from(prefix),
                found: bytes.len() - at,
            };
            let prefix = bytes.get(at..start).ok_or(short)?;
            (
                start,
                prefix.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            )
        }
    };
    if length > bytes.len() - start.min(bytes.len()) {
        return Err(RowError::Short {
            column,
            expected: length,
            found: bytes.len().saturating_sub(start),
        });
    }
    Ok((start, start + length))
}

fn put_value(row: &mut BytesMut, storage: Storage, value: &[u8], column: usize) -> Result<(), RowError> {
    let wrong = |expected| RowError::Length {
        column,
        expected,
        found: value.len(),
    };
    match storage {
        Storage::Fixed(length) if value.len() != usize::from(length) => {
            return Err(wrong(usize::from(length)));
        }
        Storage::Fixed(_) => {}
        Storage::Prefixed(prefix) => {
            let longest = (1u64 << (8 * u32::from(prefix))) - 1;
            if value.len() as u64 > longest {
                return Err(wrong(usize::try_from(longest).unwrap_or(usize::MAX)));
            }
            row.put_uint_le(value.len() as u64, usize::from(prefix));
        }
    }
    row.put_slice(value);
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::shape::{Column, RowKey, TableName};

    /// A shape with these columns, the first `key` of them being its primary key.
    pub(crate) fn shape(kinds: Vec<ColumnKind>, key: usize) -> TableShape {
        let column = |(at, kind)| Column {
            name: format!("c{at}"),
            kind,
            is_nullable: true,
            is_generated: false,
            charset: None,
            collation: None,
        };
        TableShape {
            name: TableName {
                schema: "s".into(),
                table: "t".into(),
            },
            columns: kinds.into_iter().enumerate().map(column).collect(),
            key: (key > 0).then(|| RowKey {
                index: "PRIMARY".into(),
                columns: (0..key).collect(),
            }),
            map: None,
            has_secondary_unique: false,
            create_sql: String::new(),
            defaults: None,
            cascades: Vec::new(),
        }
    }

    pub(crate) fn any_kind() -> impl Strategy<Value = ColumnKind> {
        let labels = |count: usize| (0..count).map(|at| format!("l{at}")).collect::<Vec<_>>();
        prop_oneof![
            (prop::sample::select(vec![1u8, 2, 3, 4, 8]), any::<bool>())
                .prop_map(|(bytes, unsigned)| ColumnKind::Int { bytes, unsigned }),
            (1u8..=65)
                .prop_flat_map(|p| (Just(p), 0..=p.min(30)))
                .prop_map(|(precision, scale)| ColumnKind::Decimal { precision, scale }),
            Just(ColumnKind::Float),
            Just(ColumnKind::Double),
            (1u8..=64).prop_map(|bits| ColumnKind::Bit { bits }),
            Just(ColumnKind::Year),
            Just(ColumnKind::Date),
            (0u8..=6).prop_map(|fsp| ColumnKind::Time { fsp }),
            (0u8..=6).prop_map(|fsp| ColumnKind::DateTime { fsp }),
            (0u8..=6).prop_map(|fsp| ColumnKind::Timestamp { fsp }),
            (1u32..1020).prop_map(|bytes_max| ColumnKind::Char { bytes_max }),
            (1u32..1020).prop_map(|bytes_max| ColumnKind::VarChar { bytes_max }),
            (1u32..=255).prop_map(|bytes| ColumnKind::Binary { bytes }),
            (1u32..1020).prop_map(|bytes_max| ColumnKind::VarBinary { bytes_max }),
            (1u8..=4).prop_map(|length_bytes| ColumnKind::Blob { length_bytes }),
            (1u8..=4).prop_map(|length_bytes| ColumnKind::Text { length_bytes }),
            Just(ColumnKind::Json),
            Just(ColumnKind::Geometry),
            Just(ColumnKind::Vector),
            (1usize..300).prop_map(move |count| ColumnKind::Enum { members: labels(count) }),
            (1usize..=64).prop_map(move |count| ColumnKind::Set { members: labels(count) }),
        ]
    }

    fn any_value(storage: Storage) -> BoxedStrategy<Option<Vec<u8>>> {
        let length = match storage {
            Storage::Fixed(length) => usize::from(length)..=usize::from(length),
            Storage::Prefixed(_) => 0..=200,
        };
        prop::option::of(prop::collection::vec(any::<u8>(), length)).boxed()
    }

    fn any_row() -> impl Strategy<Value = (TableShape, Vec<Option<Vec<u8>>>)> {
        prop::collection::vec(any_kind(), 1..20).prop_flat_map(|kinds| {
            let values: Vec<_> = kinds.iter().map(|kind| any_value(kind.storage())).collect();
            (Just(shape(kinds, 0)), values)
        })
    }

    fn borrowed(values: &[Option<Vec<u8>>]) -> Vec<Option<&[u8]>> {
        values.iter().map(Option::as_deref).collect()
    }

    proptest! {
        #[test]
        fn splitting_a_built_row_gives_its_values((shape, values) in any_row(), tail in prop::collection::vec(any::<u8>(), 0..9)) {
            let layout = RowLayout::new(&shape);
            let row = layout.build(&borrowed(&values)).unwrap();
            let mut found = Vec::new();
            layout.split(&row.0, &mut found).unwrap();
            prop_assert_eq!(&found, &borrowed(&values));
            let longer = [&row.0[..], &tail].concat();
            prop_assert_eq!(layout.row_bytes(&longer), Ok(row.0.len()));
            prop_assert_eq!(layout.split(&longer, &mut Vec::new()).is_ok(), tail.is_empty());
        }

        #[test]
        fn damaged_bytes_are_an_error_or_a_row_never_a_panic((shape, values) in any_row(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let layout = RowLayout::new(&shape);
            let mut row = layout.build(&borrowed(&values)).unwrap().0.to_vec();
            let at = at.index(row.len());
            row[at] = byte;
            let _ = layout.split(&row, &mut Vec::new());
            row.truncate(cut.index(row.len()));
            if layout.split(&row, &mut Vec::new()).is_ok() {
                prop_assert_eq!(layout.row_bytes(&row), Ok(row.len()));
            }
        }
    }

    #[test]
    fn a_value_that_does_not_fit_its_column_is_refused() {
        let layout = RowLayout::new(&shape(
            vec![
                ColumnKind::Int {
                    bytes: 4,
                    unsigned: false,
                },
                ColumnKind::VarChar { bytes_max: 10 },
            ],
            1,
        ));
        assert_eq!(
            layout.build(&[Some(&[1, 2, 3]), None]),
            Err(RowError::Length {
                column: 0,
                expected: 4,
                found: 3
            })
        );
        assert_eq!(
            layout.build(&[None, Some(&[0; 256])]),
            Err(RowError::Length {
                column: 1,
                expected: 255,
                found: 256
            })
        );
        assert_eq!(layout.build(&[None]), Err(RowError::Count { expected: 2, found: 1 }));
    }

    #[test]
    fn an_image_of_some_columns_is_read_as_it_was_written() {
        let layout = RowLayout::new(&shape(vec![ColumnKind::VarBinary { bytes_max: 300 }; 10], 1));
        let mut values: Vec<Option<&[u8]>> = vec![Some(b"value"); 10];
        values[3] = None;
        let row = layout.build(&values).unwrap();
        let present = [0b0000_1011, 0b10];
        let mut image = b"front".to_vec();
        layout.push_some(&row.0, &present, &mut image).unwrap();
        image.extend_from_slice(b"behind");
        let (mut known, some) = (Vec::new(), &image[5..]);
        let length = layout.split_some(some, &present, &mut known).unwrap();
        assert_eq!(&some[length..], b"behind");
        values
            .iter_mut()
            .enumerate()
            .filter(|(at, _)| !is_set(&present, *at))
            .for_each(|(_, value)| *value = None);
        assert_eq!(known, values);
    }
}
