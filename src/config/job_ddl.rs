//! `[sink] on_ddl`: one word for all changes of definitions, or one per kind.
//!
//! Called by `config::job`. Refuses to skip what would leave nobody knowing which table a row belongs to. `[filter] skip` may say the same.

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

/// Adds what `filter.skip` names: the same as `skip` here.
pub(crate) fn skip(policy: &mut DdlPolicy, kinds: Vec<(DdlKind, Found<String>)>, faults: &mut FaultList) {
    for (kind, found) in kinds {
        let said = policy.kinds.get(&kind).copied();
        if !kind.can_be_skipped() {
            refuse_skip(&found, faults);
        } else if said.is_some_and(|said| said != DdlAction::Skip) {
            let expected = format!("one policy for {}: `on_ddl` of the sink has another", kind.word());
            faults.value(&found, &format!("`{}`", found.value), &expected, "skip = [\"dml.delete\"]");
        } else {
            policy.kinds.insert(kind, DdlAction::Skip);
        }
    }
}

fn action(word: &str) -> Option<DdlAction> {
    ACTIONS.iter().find(|(known, _)| *known == word).map(|(_, action)| *action)
}

fn refuse_skip(found: &Found<String>, faults: &mut FaultList) {
    faults.value(
        found,
        "`skip` for a change after which rows belong to another table",
        "apply or pause; skip for all kinds but rename-table, one by one",
        "on_ddl = { drop-table = \"skip\" }",
    );
}

#[cfg(test)]
mod tests {
    use crate::config::job::parse_job;
    use crate::core::ddl_policy::{DdlAction, DdlKind};

    const JOB: &str = "name = \"n\"\n[source]\nhost = \"s\"\nuser = \"u\"\n[sink]\nhost = \"t\"\nuser = \"u\"\n";

    #[test]
    fn skipped_kinds_are_written_in_the_filter_too() {
        let text = format!("{JOB}[filter]\nskip = [\"dml.delete\", \"ddl.drop-table\", \"ddl.alter-table\"]\n");
        let job = parse_job(&text).unwrap_or_else(|faults| panic!("{faults}"));
        for (kind, action) in [
            (DdlKind::DropTable, DdlAction::Skip),
            (DdlKind::DropColumn, DdlAction::Skip),
            (DdlKind::Truncate, DdlAction::Apply),
        ] {
            assert_eq!(job.sink.on_ddl.action(kind), action, "{kind:?}");
        }
        assert_eq!(job.selection.skip.len(), 1);
    }

    #[test]
    fn what_cannot_be_skipped_or_has_two_policies_is_refused() {
        for (policy, skip, word) in [
            ("", "ddl.rename-table", "another table"),
            ("", "ddl.frobnicate", "ddl.drop-index"),
            (
                "on_ddl = { truncate = \"pause\" }\n",
                "ddl.truncate",
                "one policy for truncate",
            ),
        ] {
            let text = format!("{JOB}{policy}[filter]\nskip = [\"{skip}\"]\n");
            let faults = parse_job(&text).expect_err(skip).to_string();
            assert!(faults.contains(word), "{skip}: {faults}");
        }
    }
}
