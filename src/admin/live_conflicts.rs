//! What `Live` does about rows that do not fit: shows what was recorded of them, orders that a transaction be passed over.
//!
//! Both look at the target, which has the records and knows what is applied; `actors::target_look` finds a peer that reaches it.

use crate::actors::table_keeper::Change;
use crate::admin::live::Live;
use crate::admin::parse_skip::one_gtid;
use crate::admin::refusal::{Refusal, RefusalKind};
use crate::admin::views::{ChangeView, ConflictsView};
use crate::core::conflict::TargetLook;
use crate::core::fault::Fault;
use crate::core::job_record::JobRecord;
use crate::core::job_spec::JobSpec;

impl Live {
    /// The records of a job.
    pub(super) async fn conflicts_of(&self, name: &str) -> Result<ConflictsView, Refusal> {
        let record = self.record(name)?;
        Ok(ConflictsView {
            name: name.to_owned(),
            incarnation: record.inc.0,
            list: self.look(&record).await?.list,
        })
    }

    /// Orders that one transaction be passed over, unless the target has it.
    pub(super) async fn skip_transaction(&self, name: &str, gtid: &str, reason: String) -> Result<ChangeView, Refusal> {
        let gtid = one_gtid(gtid)?;
        let record = self.record(name)?;
        if self.look(&record).await?.executed.contains(&gtid) {
            return Err(Refusal::new(
                RefusalKind::Exists,
                Fault::new(
                    "PEER1732",
                    format!("transaction {gtid}"),
                    "it is applied on the target already, or was passed over",
                    "one that is not applied yet",
                    format!("`peer status {name}` shows where the job stands and what it waits for"),
                ),
            ));
        }
        self.change(name, Change::Skip(gtid, reason), "skip", None).await
    }

    async fn look(&self, record: &JobRecord) -> Result<TargetLook, Refusal> {
        let spec = record.newest_spec().map(|(_, entry)| entry.spec.clone()).unwrap_or_default();
        let spec: JobSpec = serde_json::from_value(spec).map_err(|error| {
            Refusal::not_ready(
                &format!("job {}", record.name),
                &format!("a text this version does not read: {error}"),
            )
        })?;
        let seen = self.handle.look_at_target(record, &spec).await;
        seen.map_err(|fault| Refusal::new(RefusalKind::NotReady, fault))
    }
}
