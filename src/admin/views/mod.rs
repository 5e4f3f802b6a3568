//! What a peer answers, as data: the JSON of DESIGN 1.5, one struct per answer.
//!
//! Filled by the `Cluster` implementation, drawn by `render`, sent by `http` and `shell`, read back by the command line.
//! Fields are stable and only ever added. `None` is `null` and means "not known here", never zero. Holds no decision.

mod check;
mod conflicts;
mod failure;
mod history;
mod jobs;
mod peers;
mod plan;
mod status;

pub use check::CheckView;
pub use conflicts::ConflictsView;
pub use failure::{FailureView, RetryView};
pub use history::{ConcurrentView, EventView, JobHistoryView};
pub use jobs::{ChangeView, Desired, JobLine, JobPhase, JobsView, OwnerView, SubmitResult, SubmitView, TargetView};
pub use peers::{HealthView, MemberStanding, MemberView, MembersView, PeerChangeView, TaskCountsView, VersionView};
pub use plan::{
    DifferenceView, ExplanationView, PlacementSummaryView, PlacementTotalsView, PlanResult, PlanView, TableDigestView,
};
pub use status::{
    CopyView, HistoryView, HoldView, PlacementView, PositionView, RowByRowView, SinkView, SourceView, StatusView, TotalsView,
};
