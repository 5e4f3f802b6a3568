//! All cases, one file per topic.

mod types;

use crate::case::Case;

pub fn all() -> Vec<Case> {
    [types::cases()].into_iter().flatten().collect()
}
