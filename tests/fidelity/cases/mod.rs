//! All cases, one file per topic.

mod json;
mod moments;
mod texts;
mod types;

use crate::case::Case;

pub fn all() -> Vec<Case> {
    [types::cases(), moments::cases(), texts::cases(), json::cases()]
        .into_iter()
        .flatten()
        .collect()
}
