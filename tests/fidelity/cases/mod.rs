//! All cases, one file per topic.

mod images;
mod json;
mod moments;
mod texts;
mod types;

use crate::case::Case;

pub fn all() -> Vec<Case> {
    [
        images::cases(),
        types::cases(),
        moments::cases(),
        texts::cases(),
        json::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
