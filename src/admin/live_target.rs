//! What `Live` does in a job's target for `stop --fence`, `submit --adopt` and `purge --target`.
//!
//! Decides the order of steps: the table first where an owner could otherwise come back, the target first where the next step
//! would take away what a second try needs. `actors::target_orders` does the steps.

use crate::actors::table_keeper::Change;
use crate::actors::target_orders::OrderError;
use crate::admin::live::{Live, refusal};
use crate::admin::refusal::{Refusal, RefusalKind};
use crate::admin::views::{ChangeView, Desired, TargetView};
use crate::core::fault::{Fault, Faults};
use crate::core::ids::{Incarnation, JobId, Life};
use crate::core::job_record::{HoldKind, JobRecord};
use crate::core::job_spec::{JobSpec, SinkSpec};

impl Live {
    /// Holds the job, then ends its owner in the target.
    pub(super) async fn stop_and_fence(&self, name: &str) -> Result<ChangeView, Refusal> {
        let mut view = self
            .change(name, Change::Hold(HoldKind::Stop, String::new()), "stop", Some(Desired::Stop))
            .await?;
        let record = self.record(name)?;
        let sink = sink_of(&record)?;
        let left = "the job is held, but its owner was not ended";
        let ended = self
            .handle
            .shut_target(&record, &sink)
            .await
            .map_err(|error| not_done(name, &sink, left, ("stop", "--fence"), error))?;
        view.target = Some(TargetView {
            endpoint: endpoint(&sink),
            ended_owner: ended.as_ref().and_then(|ended| {
                let row = &ended.before;
                row.owner.as_ref().map(|_| row.owner_name.clone())
            }),
            ended_epoch: ended.map(|ended| ended.before.epoch.0),
            forgot: false,
        });
        Ok(view)
    }

    /// Holds the job, forgets its rows in the target, then forgets the job: a target out of reach leaves a job to ask about.
    pub(super) async fn purge_with_target(&self, name: &str) -> Result<ChangeView, Refusal> {
        let stop = Change::Hold(HoldKind::Stop, "purge --target".to_owned());
        self.change(name, stop, "stop", Some(Desired::Stop)).await?;
        let record = self.record(name)?;
        let sink = sink_of(&record)?;
        let forgot = self
            .handle
            .purge_target(&record, &sink)
            .await
            .map_err(|error| not_done(name, &sink, "the job is held and not forgotten", ("purge", "--target"), error))?;
        let mut view = self.change(name, Change::Purge, "purge", None).await?;
        view.target = Some(TargetView {
            endpoint: endpoint(&sink),
            ended_epoch: None,
            ended_owner: None,
            forgot,
        });
        Ok(view)
    }

    /// Makes foreign progress the progress of the job as this submit will leave it; returns the epoch that ended.
    pub(super) async fn adopt(&self, spec: &JobSpec, known: Option<&JobRecord>, life: &Life) -> Result<Option<u64>, Refusal> {
        let (inc, life) = match known {
            None => (Incarnation(1), life),
            Some(record) if record.is_alive() => (record.inc, record.life()),
            Some(tombstone) => (Incarnation(tombstone.inc.0 + 1), life),
        };
        let job = JobId {
            name: spec.name.clone(),
            inc,
        };
        let adopted = self.handle.adopt_in_target(job, life.clone(), &spec.sink).await;
        let adopted = adopted.map_err(|error| {
            let left = "nothing was submitted or adopted";
            not_done(&spec.name.0, &spec.sink, left, ("submit", "--adopt"), error)
        })?;
        Ok(adopted.map(|ended| ended.before.epoch.0))
    }
}

fn sink_of(record: &JobRecord) -> Result<SinkSpec, Refusal> {
    let spec = record.newest_spec().map(|(_, entry)| entry.spec.clone()).unwrap_or_default();
    serde_json::from_value::<JobSpec>(spec)
        .map(|spec| spec.sink)
        .map_err(|error| {
            Refusal::invalid(Fault::new(
                "PEER1710",
                format!("job {}", record.name),
                format!("a text this version does not read: {error}"),
                "a job whose target is known",
                "ask a peer of the version that took the job",
            ))
        })
}

fn endpoint(sink: &SinkSpec) -> String {
    format!("{}:{}", sink.endpoint.host, sink.endpoint.port)
}

/// The order did not reach the target, or the target refused it: which state is left, and whom to ask next.
fn not_done(name: &str, sink: &SinkSpec, left: &str, (command, flag): (&str, &str), error: OrderError) -> Refusal {
    let error = match error {
        OrderError::Target(error) => error.fault(),
        OrderError::Table(error) => return refusal(name, error),
    };
    let about = if command == "submit" { "FILE" } else { name };
    let fault = Fault::new(
        "PEER1710",
        format!("job {name}"),
        format!("{left}: {}", error.found),
        format!("the target {} reached from the asked peer", endpoint(sink)),
        format!("ask another peer: `peer {command} {about} {flag} --address HOST:PORT`"),
    );
    Refusal::new(RefusalKind::NotReady, Faults(vec![fault, error]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::job_spec::{DatabaseSpec, Preferences, Secret, TlsMode};

    #[test]
    fn an_order_that_did_not_reach_the_target_says_what_is_left_and_whom_to_ask() {
        let sink = SinkSpec {
            endpoint: DatabaseSpec {
                host: "db".into(),
                port: 3306,
                user: "u".into(),
                password: Secret::Text("hidden".into()),
                tls: TlsMode::Preferred,
                tls_ca: None,
            },
            meta_schema: "m".into(),
            constraints: Vec::new(),
            preferences: Preferences::default(),
            on_ddl: Default::default(),
            on_conflict: Default::default(),
            drop_triggers: false,
        };
        let unreachable = crate::mysql::error::Error::Unreachable {
            address: "db:3306".into(),
            reason: "no route".into(),
        };
        let error = OrderError::Target(unreachable);
        let refusal = not_done("orders", &sink, "the job is held", ("stop", "--fence"), error);
        let first = &refusal.faults.0[0];
        assert!(
            first.found.contains("the job is held") && first.found.contains("no route"),
            "{first}"
        );
        assert!(first.fix.contains("peer stop orders --fence --address"), "{first}");
        assert_eq!(refusal.faults.0[1].code, "PEER1301");
        assert_eq!(refusal.kind.status(), 503);
    }
}
