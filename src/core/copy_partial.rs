//! Changes whose images lack columns, in a table that is being copied (PROTOCOLS 1 step 10).
//!
//! Part of `core::copy_table`. They are placed by their keys like others; what they do to a row of the open chunk is laid over the
//! row that is read, and a row that is not known as a whole where it would have to be spoils the chunk or ends the job.

use crate::core::change::{Change, Key};
use crate::core::copy_fold::SiftError;
use crate::core::copy_state::BorderOrder;
use crate::core::copy_table::{CopyTable, Fold, OpenChunk, Place};
use crate::core::image::Image;
use crate::core::row::RowError;
use crate::core::shape::ShapeId;

impl CopyTable {
    /// The open chunk is of no use: the stream changed a row of it in a way its images do not tell.
    #[must_use]
    pub fn is_spoiled(&self) -> bool {
        let fold = self.open.as_ref().map(|open| &open.fold);
        matches!(fold, Some(Fold::ByKey(fold)) if fold.is_spoiled())
    }

    /// The keys a change touches: the one before first, the one after if it is another. Empty for a keyless table.
    ///
    /// # Errors
    /// A row does not fit the shape.
    pub fn keys(&self, change: &Change) -> Result<Vec<Key>, RowError> {
        let (first, second) = match change.plain() {
            Change::Insert { after: row, .. } | Change::Delete { before: row, .. } => (self.key(row)?, None),
            Change::Update { before, after, .. } => (self.key(before)?, self.key(after)?),
            Change::Partial { before, after, .. } => {
                let after = after
                    .as_ref()
                    .map(|after| after.over(&before.row, &self.layout))
                    .transpose()?;
                let second = after.map(|row| self.key(&row)).transpose()?.flatten();
                (self.key(&before.row)?, second)
            }
            Change::Cascade(change) => return self.keys(change),
        };
        let second = if second == first { None } else { second };
        Ok(first.into_iter().chain(second).collect())
    }

    /// A row that gets a key in the open chunk is not known as a whole: the chunk is read again and shows it. One that gets a key
    /// in a copied range would have to be known now.
    pub(super) fn sift_partial(
        &mut self,
        shape: ShapeId,
        before: Image,
        after: Option<Image>,
        order: &impl BorderOrder,
    ) -> Result<Option<Change>, SiftError> {
        let old = self.key_needed(&before.row)?;
        let old_place = self.place(&old, order);
        let Some(image) = &after else {
            let kept = self.settle(old_place, old, None);
            return Ok(kept.then_some(Change::Partial { shape, before, after }));
        };
        let new = self.key_needed(&image.over(&before.row, &self.layout)?)?;
        if new == old {
            if old_place == Place::Open
                && let Some(OpenChunk {
                    fold: Fold::ByKey(fold), ..
                }) = &mut self.open
            {
                fold.patch(old, image, &self.layout)?;
            }
            return Ok((old_place == Place::Copied).then_some(Change::Partial { shape, before, after }));
        }
        let new_place = self.place(&new, order);
        let is_kept = self.settle(old_place, old, None);
        match new_place {
            Place::Copied if is_kept => return Ok(Some(Change::Partial { shape, before, after })),
            Place::Copied => {
                let table = self.shape.name.clone();
                return Err(SiftError::Moved { table });
            }
            Place::Open => {
                if let Some(OpenChunk {
                    fold: Fold::ByKey(fold), ..
                }) = &mut self.open
                {
                    fold.spoil();
                }
            }
            Place::Unread => {}
        }
        Ok(is_kept.then_some(Change::Partial {
            shape,
            before,
            after: None,
        }))
    }
}
