//! Who is in the cluster, as one peer sees it.
//!
//! Made by `gossip` from what each peer publishes about itself, read by placement, admin and the tasks. A roster is a view:
//! two peers may see two, and nothing that must be right depends on it (the fence does that).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::ids::{Boot, NodeId};

/// Facts about a peer by their full name: `node.datacenter`, `meta.rack`, `attr.kernel.name`.
pub type Attributes = BTreeMap<String, String>;

/// What this peer believes about another's life. Any state may follow any other except that `Left` ends a boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Heard of lately.
    #[default]
    Alive,
    /// Silent, not yet long enough to act on.
    Suspect,
    /// Silent for too long.
    Dead,
    /// Said goodbye.
    Left,
}

/// Running tasks of a peer by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Source tasks.
    pub source: u32,
    /// Sink tasks.
    pub sink: u32,
}

impl TaskCounts {
    /// Both together.
    #[must_use]
    pub fn total(self) -> u32 {
        self.source.saturating_add(self.sink)
    }
}

/// One peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Identity; the certificate proves it.
    pub id: NodeId,
    /// Label; two peers may wrongly share one.
    pub name: String,
    /// Which start of its store this is.
    pub boot: Boot,
    /// Site.
    pub datacenter: String,
    /// Free word.
    pub class: String,
    /// Free tags, without the `meta.` before them.
    pub meta: BTreeMap<String, String>,
    /// Fingerprinted facts, without the `attr.` before them.
    pub attributes: BTreeMap<String, String>,
    /// Version of its program.
    pub version: String,
    /// Where its QUIC endpoint is reached.
    pub peer_addr: String,
    /// Its admin shell.
    pub admin_addr: String,
    /// Its HTTP door.
    pub http_addr: String,
    /// Most tasks it takes.
    pub capacity: u32,
    /// Takes no new task, hands over the ones it has.
    pub is_draining: bool,
    /// Life, as seen from here.
    pub state: MemberState,
    /// What it runs.
    pub tasks: TaskCounts,
    /// This peer itself.
    pub is_self: bool,
}

impl Member {
    /// True when tasks may be given to it as far as its life goes. A suspect peer still counts: suspicion often clears.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.state, MemberState::Alive | MemberState::Suspect)
    }

    /// Returns everything constraints may ask about, each fact under its one full name (aliases are resolved when a
    /// constraint is compiled).
    #[must_use]
    pub fn attributes(&self) -> Attributes {
        let mut all = Attributes::new();
        all.insert("node.id".into(), self.id.0.clone());
        all.insert("node.unique.id".into(), self.id.0.clone());
        all.insert("node.name".into(), self.name.clone());
        all.insert("node.unique.name".into(), self.name.clone());
        all.insert("node.datacenter".into(), self.datacenter.clone());
        if !self.class.is_empty() {
            all.insert("node.class".into(), self.class.clone());
        }
        all.extend(self.meta.iter().map(|(key, value)| (format!("meta.{key}"), value.clone())));
        all.extend(
            self.attributes
                .iter()
                .map(|(key, value)| (format!("attr.{key}"), value.clone())),
        );
        all
    }
}

/// What one peer sees of the whole cluster, itself included, in the order of ids.
pub type Roster = Vec<Member>;

/// Returns the member with this id.
#[must_use]
pub fn find<'a>(roster: &'a [Member], id: &NodeId) -> Option<&'a Member> {
    roster.iter().find(|member| member.id == *id)
}

/// Returns the name of a peer for people; its id when nobody knows a name.
#[must_use]
pub fn name_of(roster: &[Member], id: &NodeId) -> String {
    find(roster, id).map_or_else(|| id.0.clone(), |member| member.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_has_its_full_name() {
        let member = Member {
            id: NodeId("ab12".into()),
            name: "sh-1".into(),
            datacenter: "shanghai".into(),
            meta: [("rack".to_owned(), "r1".to_owned())].into(),
            attributes: [("kernel.name".to_owned(), "linux".to_owned())].into(),
            ..Member::default()
        };
        let all = member.attributes();
        for (key, value) in [
            ("node.id", "ab12"),
            ("node.unique.id", "ab12"),
            ("node.name", "sh-1"),
            ("node.unique.name", "sh-1"),
            ("node.datacenter", "shanghai"),
            ("meta.rack", "r1"),
            ("attr.kernel.name", "linux"),
        ] {
            assert_eq!(all.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert!(!all.contains_key("node.class"), "an empty class is not set");
    }
}
