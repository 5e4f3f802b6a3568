//! What is written with progress about transactions that paused the job or were passed over.
//!
//! Part of `writer`, asked before each commit.

use crate::core::gtid_set::Gtid;
use crate::core::progress::Progress;
use crate::mysql::target::conflict_store::{self, Standing};
use crate::mysql::target::writer::Target;

impl Target {
    /// Something is to be written beside progress when certain transactions join it.
    pub(super) fn has_notes(&self) -> bool {
        !self.skips.is_empty() || !self.standing.paused.is_empty()
    }

    /// What is written with progress about transactions that paused the job or were passed over, and what is known afterwards.
    pub(super) fn notes(&self, mut standing: Standing, next: &Progress) -> (Vec<String>, Standing) {
        let joins = |text: &String| {
            let gtid = Gtid::parse(text).ok()?;
            (next.executed.contains(&gtid) && !self.progress.executed.contains(&gtid)).then_some(gtid)
        };
        let mut statements = Vec::new();
        standing.paused.retain(|(text, _)| {
            let has_joined = joins(text).is_some();
            if has_joined {
                statements.push(match self.skips.get(text) {
                    Some(skip) => conflict_store::skipped_statement(&self.meta, &self.job, text, skip),
                    None => conflict_store::mended_statement(&self.meta, &self.job, text),
                });
            }
            !has_joined
        });
        let is_told = |text: &String| self.standing.paused.iter().any(|(told, _)| told == text);
        for (text, skip) in self.skips.iter().filter(|(text, _)| !is_told(text)) {
            if let Some(gtid) = joins(text) {
                standing.last += 1;
                let record = conflict_store::skip_record(standing.last, &gtid, skip);
                statements.push(conflict_store::record_statement(&self.meta, &self.job, next.seq, &record));
            }
        }
        (statements, standing)
    }
}
