//! Why the copy of a table cannot go on: errors for a person, each with both ways out.
//!
//! Made by `chunk_tasks` when it gives up.

use crate::core::shape::TableShape;
use crate::mysql::error::Error;
use crate::mysql::quote;

/// A table without a key is copied as a whole, in memory.
pub(super) fn too_large(shape: &TableShape, bytes_max: u64) -> Error {
    Error::Unsuitable {
        object: shape.name.to_string(),
        found: format!("a table without a key and with more than {} MiB of rows", bytes_max >> 20),
        expected: "a primary key, or a unique key of NOT NULL columns".into(),
        fix: add_key(shape),
    }
}

/// A table without a key was never the same before and after it was read.
pub(super) fn always_changed(shape: &TableShape, tries: u32) -> Error {
    Error::Unsuitable {
        object: shape.name.to_string(),
        found: format!("a table without a key that was changed during each of {tries} reads"),
        expected: "a primary key, a unique key of NOT NULL columns, or a moment without writes".into(),
        fix: format!("{}, or stop its writers until it is copied", add_key(shape)),
    }
}

/// Rows of the chunk were changed each time in a way their images do not tell.
pub(super) fn always_spoiled(shape: &TableShape, tries: u32) -> Error {
    Error::Unsuitable {
        object: shape.name.to_string(),
        found: format!("rows that were changed during each of {tries} reads, in images without all columns"),
        expected: "whole row images while a table is copied that is written this often".into(),
        fix: "set binlog_row_value_options = '' and binlog_row_image = FULL on the source until the table is copied".into(),
    }
}

/// Each time the engine of the source changed rows of the table for a foreign key, which it does not log.
pub(super) fn always_cascaded(shape: &TableShape, tries: u32) -> Error {
    Error::Unsuitable {
        object: shape.name.to_string(),
        found: format!("foreign keys that changed rows during each of {tries} reads, which this server does not log"),
        expected: "a moment in which no row that this table refers to is deleted or renumbered".into(),
        fix: "stop those writers until the table is copied, or start from a backup by `start` with its GTID set".into(),
    }
}

fn add_key(shape: &TableShape) -> String {
    format!(
        "ALTER TABLE {} ADD COLUMN id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY",
        quote::table(&shape.name)
    )
}
