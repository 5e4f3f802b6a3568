//! What `Live` tells peers to do with themselves: drain, undrain, leave; any living peer, this one too.
//!
//! Finds whom a name means; `actors::handle` carries the order there.

use crate::admin::live::Live;
use crate::admin::refusal::{Refusal, RefusalKind};
use crate::admin::views::PeerChangeView;
use crate::core::ids::NodeId;
use crate::core::member::Member;

impl Live {
    /// The peer of this name or id: a living one before those of the past.
    fn peer(&self, name: &str) -> Result<Member, Refusal> {
        let view = self.handle.view();
        let named: Vec<&Member> = view
            .roster
            .iter()
            .filter(|member| member.name == name || member.id.0 == name)
            .collect();
        let living: Vec<&Member> = named.iter().copied().filter(|member| member.is_live()).collect();
        match (living.as_slice(), named.first()) {
            ([one], _) => Ok((*one).clone()),
            ([], None) => Err(Refusal::unknown_peer(name)),
            ([], Some(_)) => Err(Refusal::not_ready(&format!("peer `{name}`"), "it is not heard of")),
            (several, _) => {
                let ids: Vec<&str> = several.iter().map(|member| member.id.0.as_str()).collect();
                let found = format!("{} peers of this name: {}", ids.len(), ids.join(", "));
                Err(Refusal::usage(
                    &format!("peer `{name}`"),
                    &found,
                    "one peer",
                    "name it by its id",
                ))
            }
        }
    }

    /// Lets a peer drain, or take tasks again.
    pub(super) async fn drain_peer(&self, name: &str, is_draining: bool) -> Result<PeerChangeView, Refusal> {
        let peer = self.peer(name)?;
        let changed = self.handle.set_draining(&peer.id, is_draining).await;
        let changed = changed.map_err(|fault| Refusal::new(RefusalKind::NotReady, fault))?;
        let action = if is_draining { "drain" } else { "undrain" };
        Ok(peer_change(peer.name, peer.id, action, changed))
    }

    /// Lets a peer end; None: this one.
    pub(super) async fn leave_peer(&self, name: Option<&str>, is_restart: bool) -> Result<PeerChangeView, Refusal> {
        let me = &self.handle.me;
        let (name, id) = match name.map(|name| self.peer(name)).transpose()? {
            Some(peer) => (peer.name, peer.id),
            None => (me.name.clone(), me.node.clone()),
        };
        let changed = self.handle.leave(&id, is_restart).await;
        let changed = changed.map_err(|fault| Refusal::new(RefusalKind::NotReady, fault))?;
        let action = if is_restart { "leave_for_restart" } else { "leave" };
        Ok(peer_change(name, id, action, changed))
    }
}

fn peer_change(name: String, id: NodeId, action: &str, changed: bool) -> PeerChangeView {
    PeerChangeView {
        name,
        id: id.0,
        action: action.to_owned(),
        changed,
    }
}
