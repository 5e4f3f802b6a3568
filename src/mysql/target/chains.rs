//! Whether the target's engine can be trusted with what the source's engine did and did not log.
//!
//! Asked by `writer` before it writes to tables with such foreign keys. Changes nothing.

use crate::core::cascade::Family;
use crate::core::shape::{ShapeId, TableShape};
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::cascades::are_unlogged;

/// A server that looks after foreign keys above its engine (9.6 and later) leaves rows of grandchildren behind: with a parent, two
/// children and a grandchild of each, the grandchild of the second stays (tried on 9.7.4, 2026-11-21). Engines do not.
///
/// # Errors
/// `Unsuitable` names the first table that is child and parent on such a server; or the query failed.
pub(super) async fn check(session: &mut Session, shapes: &[TableShape]) -> Result<(), Error> {
    let Some(middle) = middle(shapes) else { return Ok(()) };
    if are_unlogged(session).await? {
        return Ok(());
    }
    Err(Error::Unsuitable {
        object: format!("table {} of the target", middle.on_target().name),
        found: "foreign keys that cascade to it and on from it, which the source does not log and this server does not carry to the end: \
                with native foreign keys off it leaves rows of grandchildren behind"
            .into(),
        expected: "a target whose engine cascades, or foreign keys of one step".into(),
        fix: "start the target with innodb_native_foreign_keys = ON, or the source from 9.6 on with it OFF, then `peer restart`".into(),
    })
}

/// A table that such keys cascade to and on from; None: each is of one step.
fn middle(shapes: &[TableShape]) -> Option<&TableShape> {
    let family = Family::of(shapes);
    let is_child = |shape: &TableShape| shape.cascades.iter().any(|cascade| cascade.is_unlogged);
    let is_parent = |at: usize| u32::try_from(at).is_ok_and(|at| family.children(ShapeId(at)).next().is_some());
    shapes
        .iter()
        .enumerate()
        .find(|(at, shape)| is_child(shape) && is_parent(*at))
        .map(|(_, shape)| shape)
}
