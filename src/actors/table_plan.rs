//! Asks the peer that would run a job's source which tables the job chooses there, for `peer plan`.
//!
//! Called by the command layer through `PeerHandle`. Bounded in time; changes nothing anywhere.

use std::time::Duration;

use tokio::time::timeout;

use crate::actors::handle::PeerHandle;
use crate::core::fault::Fault;
use crate::core::ids::NodeId;
use crate::core::job_spec::JobSpec;
use crate::core::member::{find, name_of};
use crate::core::placement_summary::Placed;
use crate::core::table_plan::TablesPlan;
use crate::flow::prerequisites;
use crate::wire::message::{Request, Response};

/// How long the source's peer and its database may take; below what a door waits (10 s).
const PLAN_TIME_MAX: Duration = Duration::from_secs(6);

impl PeerHandle {
    /// The tables of a job as the best peer for its source sees them now.
    pub async fn planned_tables(&self, spec: &JobSpec) -> TablesPlan {
        let roster = self.view().roster;
        let placed = Placed::of(spec, &roster, None, None);
        let Some((peer, _)) = placed.source.eligible.first() else {
            return unknown(spec, "no peer may run the source");
        };
        let name = name_of(&roster, peer);
        let asked = async {
            if *peer == self.me.node {
                return Some(prerequisites::plan_tables(spec).await);
            }
            self.ask_tables(peer, spec).await
        };
        match timeout(PLAN_TIME_MAX, asked).await {
            Ok(Some(plan)) => plan,
            Ok(None) => unknown(spec, &format!("peer {name} did not answer")),
            Err(_) => unknown(
                spec,
                &format!("no answer through peer {name} within {} s", PLAN_TIME_MAX.as_secs()),
            ),
        }
    }

    async fn ask_tables(&self, peer: &NodeId, spec: &JobSpec) -> Option<TablesPlan> {
        let roster = self.me.roster().borrow().clone();
        let address = find(&roster, peer)?.peer_addr.parse().ok()?;
        let spec_json = serde_json::to_string(spec).expect("a spec has only text keys");
        let question = Request::PlanTables { spec_json };
        match self.me.endpoint.ask(address, &question).await.ok()? {
            Response::TablesPlanned { plan_json } => serde_json::from_str(&plan_json).ok(),
            // A build that does not know the question.
            _ => None,
        }
    }
}

fn unknown(spec: &JobSpec, found: &str) -> TablesPlan {
    let source = &spec.source.endpoint;
    TablesPlan::unknown(vec![Fault::new(
        "PEER1721",
        format!("tables of source {}:{}", source.host, source.port),
        found,
        "the list of tables",
        "plan again once a peer reaches the source",
    )])
}
