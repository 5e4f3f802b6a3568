//! XA in the stream: what is between XA START and XA PREPARE waits, what ends it brings it (PROTOCOLS 4).
//!
//! Part of the assembler. A prepared transaction is `Begin`, `Prepared`; the transaction of its XA COMMIT is `Begin`, the
//! changes, `Resolved`; that of its XA ROLLBACK is `Begin`, `Resolved`. XA COMMIT … ONE PHASE is an ordinary transaction.

use crate::core::change::Change;
use crate::core::copy_state::is_at_or_after;
use crate::core::gtid_set::Gtid;
use crate::mysql::source::assembler::{Assembler, Step};
use crate::mysql::source::event::Query;
use crate::mysql::source::reader_event::ReaderEvent;
use crate::mysql::source::xid::{self, XaStatement, Xid};

/// The XA transaction that is being read.
#[derive(Debug)]
pub(super) struct OpenXa {
    xid: Xid,
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
                open.xa = Some(OpenXa { xid });
                Ok(None)
            }
            Some(XaStatement::End) => Ok(None),
            Some(XaStatement::Commit(xid)) => self.xa_commit(&xid, end),
            Some(XaStatement::Rollback(xid)) => match self.prepared.take(&xid) {
                Some(prepared) => self.resolved(prepared, end),
                None => self.commit(end),
            },
            None => Err(self.refused(
                format!("`{}`", query.excerpt()),
                "XA START, END, COMMIT or ROLLBACK as the server writes them",
                "report the version of the source",
            )),
        }
    }

    /// Changes inside of an XA transaction wait; those of others do not.
    pub(super) fn xa_changes(&self, changes: Vec<Change>) -> ReaderEvent {
        match &self.open {
            Some(open) if open.xa.is_some() => ReaderEvent::Held {
                gtid: open.gtid.clone(),
                changes,
            },
            _ => ReaderEvent::Changes(changes),
        }
    }

    /// An XA_PREPARE event: the transaction waits from now on, or ends when it has ONE PHASE.
    pub(super) fn xa_prepare(&mut self, body: &[u8], end: u64) -> Step {
        let Some((is_one_phase, xid)) = xid::prepare_event(body) else {
            return Err(self.broken("an XA_PREPARE event that cannot be read"));
        };
        let open = self.open.as_mut().map(|open| (open.gtid.clone(), open.xa.take()));
        let Some((gtid, Some(xa))) = open else {
            return Err(self.broken(format!("the XA PREPARE of {xid} without its XA START")));
        };
        if xa.xid != xid {
            return Err(self.broken(format!("the XA PREPARE of {xid} behind the XA START of {}", xa.xid)));
        }
        if is_one_phase {
            let release = self.release(gtid.clone(), &gtid);
            let end = self.commit(end)?;
            return Ok(self.queue_behind(release, end));
        }
        if !self.prepared.put(xid.clone(), gtid) {
            return Err(self.broken(format!("the XA PREPARE of {xid}, which is prepared")));
        }
        self.open = None;
        let position = self.position(end);
        Ok(Some(ReaderEvent::Prepared { position, xid }))
    }

    fn xa_commit(&mut self, xid: &Xid, end: u64) -> Step {
        let is_passed_over = self.is_passed_over();
        if let Some(prepared) = self.prepared.take(xid) {
            let own = self.open.as_ref().map(|open| open.gtid.clone());
            let Some(own) = own.filter(|_| !is_passed_over) else {
                return self.resolved(prepared, end);
            };
            let release = self.release(prepared.clone(), &own);
            let end = self.resolved(prepared, end)?;
            return Ok(self.queue_behind(release, end));
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

    /// What was held of `gtid` comes as changes of transaction `own`.
    fn release(&self, gtid: Gtid, own: &Gtid) -> ReaderEvent {
        let covered = self.scope.covered(own);
        ReaderEvent::Release { gtid, covered }
    }

    /// The first of two events, the second to come behind it.
    fn queue_behind(&mut self, first: ReaderEvent, last: Option<ReaderEvent>) -> Option<ReaderEvent> {
        self.ready.extend(last);
        Some(first)
    }
}
