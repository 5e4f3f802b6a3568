//! Answers about peers: members, changes to one, version, health. See the folder for the rules of all views.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::member::{Member, MemberState};

/// Answer of `members`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersView {
    /// The cluster's name.
    pub cluster: String,
    /// Name of the peer whose view this is.
    pub as_seen_by: String,
    /// Everybody it knows, itself included.
    pub members: Vec<MemberView>,
}

/// Answer of `drain`, `undrain` and `leave`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerChangeView {
    /// The peer's name.
    pub name: String,
    /// Its node id.
    pub id: String,
    /// What was asked.
    pub action: String,
    /// False when it was so already.
    pub changed: bool,
}

/// One peer, as another sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberView {
    /// Its name.
    pub name: String,
    /// Its node id.
    pub id: String,
    /// Its standing.
    pub state: MemberStanding,
    /// Its datacenter.
    pub datacenter: String,
    /// Its class; empty when none was given.
    pub class: String,
    /// Its free tags.
    pub meta: BTreeMap<String, String>,
    /// Version of peer it runs.
    pub version: Option<String>,
    /// Address for other peers (UDP).
    pub address: Option<String>,
    /// Address of its TCP shell.
    pub admin: Option<String>,
    /// Address of its HTTP door.
    pub http: Option<String>,
    /// Tasks it runs.
    pub tasks: TaskCountsView,
    /// It is the peer that answers.
    #[serde(rename = "self")]
    pub is_self: bool,
}

impl From<&Member> for MemberView {
    fn from(member: &Member) -> Self {
        let text = |s: &String| (!s.is_empty()).then(|| s.clone());
        Self {
            name: member.name.clone(),
            id: member.id.0.clone(),
            state: MemberStanding::of(member),
            datacenter: member.datacenter.clone(),
            class: member.class.clone(),
            meta: member.meta.clone(),
            version: text(&member.version),
            address: text(&member.peer_addr),
            admin: text(&member.admin_addr),
            http: text(&member.http_addr),
            tasks: TaskCountsView {
                source: u64::from(member.tasks.source),
                sink: u64::from(member.tasks.sink),
            },
            is_self: member.is_self,
        }
    }
}

/// Standing of a peer. alive ↔ suspect → dead → alive (a new boot); alive ↔ draining; any → left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberStanding {
    /// Heard from.
    Alive,
    /// Late.
    Suspect,
    /// Silent for longer than the detector allows.
    Dead,
    /// Went in good order.
    Left,
    /// Alive, and takes no new tasks.
    Draining,
}

impl MemberStanding {
    /// Every standing.
    pub const ALL: [Self; 5] = [Self::Alive, Self::Suspect, Self::Dead, Self::Left, Self::Draining];

    /// Draining shows only on a peer that is alive: what a silent one meant to do no longer matters.
    #[must_use]
    pub fn of(member: &Member) -> Self {
        match member.state {
            MemberState::Alive if member.is_draining => Self::Draining,
            MemberState::Alive => Self::Alive,
            MemberState::Suspect => Self::Suspect,
            MemberState::Dead => Self::Dead,
            MemberState::Left => Self::Left,
        }
    }

    /// The word, as JSON has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Dead => "dead",
            Self::Left => "left",
            Self::Draining => "draining",
        }
    }
}

/// How many tasks of each kind a peer runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCountsView {
    /// Source tasks.
    pub source: u64,
    /// Sink tasks.
    pub sink: u64,
}

/// Answer of `version`: what the peer is and runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionView {
    /// Version of peer.
    pub version: String,
    /// Name of the peer that answers.
    pub name: Option<String>,
    /// Its node id.
    pub id: Option<String>,
    /// Its cluster.
    pub cluster: Option<String>,
}

/// Answer of `/v1/health` and `/v1/ready`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthView {
    /// The process works (health), or takes commands (ready).
    pub ok: bool,
    /// Why not.
    pub reason: Option<String>,
}
