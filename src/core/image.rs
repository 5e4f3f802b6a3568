//! Row images that hold some of the columns only (`binlog_row_image` MINIMAL or NOBLOB, `binlog_row_value_options` PARTIAL_JSON).
//!
//! Made by `mysql::source::rows_event` where an image cannot be completed; carried as they are, applied row by row. A column that
//! the image of an update leaves out is unchanged. A JSON column may hold what was done to its document instead of the document:
//! `core::json_diff` reads that.

use bytes::Bytes;

use crate::core::change::Row;
use crate::core::row::{RowError, RowLayout};

/// First byte of a JSON value that is a list of changes to the document; no document begins with it.
pub const JSON_CHANGES: u8 = 0xFD;

/// A row of which some columns are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// All columns; NULL where the column is not known.
    pub row: Row,
    /// One bit per column, set for those that are known, first column in the lowest bit. The bit behind the last column says that
    /// columns which the job leaves out were set too.
    pub present: Bytes,
}

/// A bit of a column bitmap; false behind its end.
#[must_use]
pub fn is_set(bits: &[u8], column: usize) -> bool {
    bits.get(column / 8).is_some_and(|byte| byte & (1 << (column % 8)) != 0)
}

/// The bitmap of these columns.
#[must_use]
pub fn bitmap(columns: usize, is_in: impl Fn(usize) -> bool) -> Bytes {
    let mut bits = vec![0; columns.div_ceil(8)];
    (0..columns)
        .filter(|at| is_in(*at))
        .for_each(|at| bits[at / 8] |= 1 << (at % 8));
    bits.into()
}

impl Image {
    /// The column is known.
    #[must_use]
    pub fn has(&self, column: usize) -> bool {
        is_set(&self.present, column)
    }

    /// Columns that the job leaves out were set too: the others may have been set to what they were.
    #[must_use]
    pub fn has_more(&self, layout: &RowLayout) -> bool {
        self.has(layout.columns())
    }

    /// Bytes of row and bitmap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.row.0.len() + self.present.len()
    }

    /// The same image in memory of its own.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self {
            row: self.row.detached(),
            present: Bytes::copy_from_slice(&self.present),
        }
    }

    /// The row `below` with the columns of this image put over its own.
    ///
    /// # Errors
    /// A row does not fit the layout.
    pub fn over(&self, below: &Row, layout: &RowLayout) -> Result<Row, RowError> {
        let (mut values, mut known) = (Vec::new(), Vec::new());
        layout.split(&below.0, &mut values)?;
        layout.split(&self.row.0, &mut known)?;
        let columns = values.iter_mut().zip(known).enumerate();
        columns.for_each(|(at, (value, known))| {
            if self.has(at) {
                *value = known;
            }
        });
        layout.build(&values)
    }

    /// Both images in one, the columns of this one first.
    ///
    /// # Errors
    /// A row does not fit the layout.
    pub fn joined(&self, below: &Self, layout: &RowLayout) -> Result<Self, RowError> {
        Ok(Self {
            row: self.over(&below.row, layout)?,
            present: bitmap(layout.columns(), |at| self.has(at) || below.has(at)),
        })
    }

    /// Holds changes of a JSON document: it cannot be laid over a row.
    ///
    /// # Errors
    /// The row does not fit the layout.
    pub fn has_json_changes(&self, layout: &RowLayout) -> Result<bool, RowError> {
        let mut values = Vec::new();
        layout.split(&self.row.0, &mut values)?;
        let is_changes = |at: usize| layout.is_json(at) && values[at].is_some_and(|value| value.first() == Some(&JSON_CHANGES));
        Ok((0..values.len()).any(is_changes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::row::tests::shape;
    use crate::core::shape::ColumnKind;

    fn layout() -> RowLayout {
        let int = || ColumnKind::Int {
            bytes: 1,
            unsigned: true,
        };
        RowLayout::new(&shape(vec![int(), int(), ColumnKind::Json], 1))
    }

    fn row(values: [Option<&[u8]>; 3]) -> Row {
        layout().build(&values).unwrap()
    }

    fn image(present: u8, values: [Option<&[u8]>; 3]) -> Image {
        Image {
            row: row(values),
            present: vec![present].into(),
        }
    }

    #[test]
    fn known_columns_replace_those_below_and_a_known_null_too() {
        let below = row([Some(&[1]), Some(&[2]), Some(b"x")]);
        let over = image(0b110, [None, None, Some(b"y")]);
        assert_eq!(over.over(&below, &layout()), Ok(row([Some(&[1]), None, Some(b"y")])));
    }

    #[test]
    fn two_images_know_what_either_knows_and_the_upper_one_wins() {
        let lower = image(0b011, [Some(&[1]), Some(&[2]), None]);
        let upper = image(0b110, [None, Some(&[3]), Some(b"z")]);
        let joined = upper.joined(&lower, &layout()).unwrap();
        assert_eq!(joined, image(0b111, [Some(&[1]), Some(&[3]), Some(b"z")]));
    }

    #[test]
    fn changes_of_a_document_are_told_from_a_document() {
        assert_eq!(
            image(0b100, [None, None, Some(&[0xFD, 0])]).has_json_changes(&layout()),
            Ok(true)
        );
        assert_eq!(
            image(0b100, [None, None, Some(&[4, 0])]).has_json_changes(&layout()),
            Ok(false)
        );
    }
}
