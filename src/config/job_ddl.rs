//! `[sink] on_ddl`: one word for all changes of definitions, or one per kind.
//!
//! Called by `config::job`. Refuses to skip what would leave the target's rows in another form than the source's.

use crate::config::document::{Found, Section};
use crate::config::fault_list::FaultList;
use crate::core::ddl_policy::{DdlAction, DdlKind, DdlPolicy};

const ACTIONS: [(&str, DdlAction); 3] = [
    ("apply", DdlAction::Apply),
    ("pause", DdlAction::Pause),
    ("skip", DdlAction::Skip),
];
const EXAMPLE: &str = "{ drop-column = \"pause\" }";

/// Reads `on_ddl`.
pub(crate) fn on_ddl(sink: &Section<'_, '_>, faults: &mut FaultList) -> DdlPolicy {
    let mut policy = DdlPolicy::default();
    let Some(node) = sink.node("on_ddl") else { return policy };
    if node.get_ref().as_table().is_none() {
        if let Some(found) = sink.word("on_ddl", &ACTIONS.map(|(word, _)| word), faults) {
            policy.default = action(&found.value).unwrap_or_default();
            if policy.default == DdlAction::Skip {
                refuse_skip(&found, faults);
            }
        }
        return policy;
    }
    for (word, found) in sink.text_map("on_ddl", EXAMPLE, faults).unwrap_or_default() {
        let fix = format!("on_ddl = {{ {word} = \"pause\" }}");
        let Some(kind) = DdlKind::of_word(&word) else {
            let words = DdlKind::ALL.map(|(word, _)| word).join(", ");
            faults.value(&found, &format!("a policy for `{word}`"), &format!("one of {words}"), EXAMPLE);
            continue;
        };
        match action(&found.value) {
            None => faults.value(&found, &format!("`{}`", found.value), "one of apply, pause, skip", &fix),
            Some(DdlAction::Skip) if !kind.can_be_skipped() => refuse_skip(&found, faults),
            Some(action) => drop(policy.kinds.insert(kind, action)),
        }
    }
    policy
}

fn action(word: &str) -> Option<DdlAction> {
    ACTIONS.iter().find(|(known, _)| *known == word).map(|(_, action)| *action)
}

fn refuse_skip(found: &Found<String>, faults: &mut FaultList) {
    faults.value(
        found,
        "`skip` for a change after which rows have another form",
        "apply or pause; skip only for drop-table, drop-database, truncate",
        "on_ddl = { drop-table = \"skip\" }",
    );
}
