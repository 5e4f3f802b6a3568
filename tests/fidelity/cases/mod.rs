//! All cases, one file per topic.

mod ddl;
mod dml;
mod foreign_keys;
mod images;
mod json;
mod keys;
mod moments;
mod texts;
mod types;

use crate::case::Case;

pub fn all() -> Vec<Case> {
    [
        foreign_keys::cases(),
        images::cases(),
        types::cases(),
        moments::cases(),
        texts::cases(),
        json::cases(),
        keys::cases(),
        dml::cases(),
        ddl::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
