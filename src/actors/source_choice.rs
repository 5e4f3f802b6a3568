//! How a sink finds the peer that shall run its source task: the ranking of placement over the roster of the moment.
//!
//! Given to the sink flow as a function; the sink's owner decides alone, nobody is asked.

use std::sync::Arc;

use tokio::sync::watch;

use crate::core::ids::NodeId;
use crate::core::job_spec::JobSpec;
use crate::core::member::{Roster, find};
use crate::core::placement::{Circumstances, Task, rank_with};
use crate::flow::sink_flow::{ChooseSource, SourcePeer};

/// Returns the choice for one job: best eligible peer, the avoided ones last.
#[must_use]
pub fn source_chooser(spec: JobSpec, roster: watch::Receiver<Arc<Roster>>) -> ChooseSource {
    Arc::new(move |avoid: &[NodeId]| {
        let roster = roster.borrow().clone();
        // The sink is here: only its owner chooses.
        let now = Circumstances {
            avoid,
            other: roster.iter().find(|member| member.is_self),
            ..Circumstances::default()
        };
        let ranking = rank_with(&spec, Task::Source, &roster, now);
        let chosen = ranking.eligible.iter().find_map(|(id, _)| {
            let member = find(&roster, id)?;
            let addr = member.peer_addr.parse().ok()?;
            Some(SourcePeer {
                id: id.clone(),
                name: member.name.clone(),
                addr,
            })
        });
        chosen.ok_or_else(|| ranking.why_nobody(Task::Source))
    })
}
