//! XA in the stream: what is between XA START and XA PREPARE waits, what ends it brings it (PROTOCOLS 4).
//!
//! Part of the assembler. A prepared transaction is `Begin`, `Prepared`; the transaction of its XA COMMIT is `Begin`, the
//! changes, `Resolved`; that of its XA ROLLBACK is `Begin`, `Resolved`. XA COMMIT … ONE PHASE is an ordinary transaction.

use crate::core::change::Change;
use crate::core::copy_state::is_at_or_after;
use crate::core::gtid_set::Gtid;
use crate::mysql::source::assembler::{Assembler, Step};
use crate::mysql::source::event::Query;
use crate::mysql::source::prepared::Held;
use crate::mysql::source::reader_event::ReaderEvent;
use crate::mysql::source::xid::{self, XaStatement, Xid};

/// The XA transaction that is being read.
#[derive(Debug)]
pub(super) struct OpenXa {
    xid: Xid,
    held: Held,
}

impl Assembler {
    /// A statement that begins with `XA `; its transaction ends at `end` when it is a COMMIT or ROLLBACK.
    pub(super) fn xa_statement(&mut self, query: &Query<'_>, end: u64) -> Step {
        let Some(open) = &mut self.open else {
            return Err(self.broken("an XA statement outside of a transaction"));
        };
        match XaStatement::read(query.text) {
            Some(XaStatement::Start(xid)) => {
                open.is_in_body = true;
                let held = Held::new(open.gtid.clone());
                open.xa = Some(OpenXa { xid, held });
                Ok(None)
            }
            Some(XaStatement::End) => Ok(None),
            Some(XaStatement::Commit(xid)) => self.xa_commit(&xid, end),
            Some(XaStatement::Rollback(xid)) => match self.prepared.take(&xid) {
                Some(held) => self.resolved(held.gtid, end),
                None => self.commit(end),
            },
            None => Err(self.refused(
                format!("`{}`", query.excerpt()),
                "XA START, END, COMMIT or ROLLBACK as the server writes them",
                "report the version of the source",
            )),
        }
    }

    /// Changes inside of an XA transaction wait; those of others are given back.
    pub(super) fn xa_changes(&mut self, changes: Vec<Change>) -> Step {
        let Some(OpenXa { xid, held }) = self.open.as_mut().and_then(|open| open.xa.as_mut()) else {
            return Ok(Some(ReaderEvent::Changes(changes)));
        };
        held.push(changes);
        if !self.prepared.is_too_much(held) {
            return Ok(None);
        }
        let (xid, bytes_max) = (xid.clone(), self.prepared.rules.bytes_max);
        Err(self.refused(
            format!("XA transactions, {xid} the last of them, with more rows than may wait for their XA COMMIT"),
            format!("at most {bytes_max} bytes of rows in prepared transactions"),
            "end prepared transactions with XA COMMIT or XA ROLLBACK and restart the job; one that is too large alone must be \
             split: copy the tables again then",
        ))
    }

    /// An XA_PREPARE event: the transaction waits from now on, or ends when it has ONE PHASE.
    pub(super) fn xa_prepare(&mut self, body: &[u8], end: u64) -> Step {
        let Some((is_one_phase, xid)) = xid::prepare_event(body) else {
            return Err(self.broken("an XA_PREPARE event that cannot be read"));
        };
        let Some(xa) = self.open.as_mut().and_then(|open| open.xa.take()) else {
            return Err(self.broken(format!("the XA PREPARE of {xid} without its XA START")));
        };
        if xa.xid != xid {
            return Err(self.broken(format!("the XA PREPARE of {xid} behind the XA START of {}", xa.xid)));
        }
        if is_one_phase {
            let gtid = xa.held.gtid.clone();
            self.queue_changes(xa.held.changes, &gtid);
            let end = self.commit(end)?;
            return Ok(self.queue_behind(end));
        }
        if !self.prepared.put(xid.clone(), xa.held) {
            return Err(self.broken(format!("the XA PREPARE of {xid}, which is prepared")));
        }
        self.open = None;
        let position = self.position(end);
        Ok(Some(ReaderEvent::Prepared { position, xid }))
    }

    fn xa_commit(&mut self, xid: &Xid, end: u64) -> Step {
        let is_passed_over = self.is_passed_over();
        if let Some(held) = self.prepared.take(xid) {
            if is_passed_over {
                return self.resolved(held.gtid, end);
            }
            let gtid = self.open.as_ref().map(|open| open.gtid.clone());
            self.queue_changes(held.changes, gtid.as_ref().unwrap_or(&held.gtid));
            let end = self.resolved(held.gtid, end)?;
            return Ok(self.queue_behind(end));
        }
        let at = self.position(end);
        let is_copied = |up_to| is_at_or_after(up_to, &at);
        if is_passed_over || self.prepared.rules.is_seen_up_to.as_ref().is_some_and(is_copied) {
            return self.commit(end);
        }
        Err(self.refused(
            format!("XA COMMIT {xid} of a transaction whose XA PREPARE was before the start of the job"),
            "no prepared transaction at the start",
            "its rows cannot be known: copy the tables again with a new job",
        ))
    }

    /// The open transaction ends, and with it the one that was prepared.
    fn resolved(&mut self, prepared: Gtid, end: u64) -> Step {
        self.open = None;
        let position = self.position(end);
        Ok(Some(ReaderEvent::Resolved { position, prepared }))
    }

    /// What was held comes as changes of transaction `gtid`: of a table that was looked up after that nothing comes.
    fn queue_changes(&mut self, changes: Vec<Vec<Change>>, gtid: &Gtid) {
        for mut changes in changes {
            changes.retain(|change| !self.scope.is_covered(change.shape(), gtid));
            if !changes.is_empty() {
                self.ready.push_back(ReaderEvent::Changes(changes));
            }
        }
    }

    /// The first of what is queued, with `last` at the end of it.
    fn queue_behind(&mut self, last: Option<ReaderEvent>) -> Option<ReaderEvent> {
        self.ready.extend(last);
        self.ready.pop_front()
    }
}
