//! The tables that gh-ost and pt-online-schema-change make beside the one they change.
//!
//! Asked by `core::table_choice`: a rule by pattern does not take them. What they hold arrives with the rename that ends the change.

/// `_t_gho`, `_t_ghc`, `_t_del` of gh-ost; `_t_new`, `_t_old` of pt-online-schema-change, which puts more underscores in front when a name
/// is taken. (The tools' own documentation.)
#[must_use]
pub fn is_of_online_tool(table: &str) -> bool {
    let endings = ["_gho", "_ghc", "_del", "_new", "_old"];
    let base = endings.iter().find_map(|ending| table.strip_suffix(ending));
    base.and_then(|base| base.strip_prefix('_'))
        .is_some_and(|base| !base.trim_start_matches('_').is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_tables_are_known_by_both_ends_of_their_names() {
        for name in [
            "_t_gho",
            "_t_ghc",
            "_t_del",
            "_t_20261121093000_del",
            "_t_new",
            "__t_new",
            "_t_old",
        ] {
            assert!(is_of_online_tool(name), "{name}");
        }
        for name in ["t_gho", "t_old", "_t", "_old", "__old", "_t_gho_", "_t_older", "what_is_new"] {
            assert!(!is_of_online_tool(name), "{name}");
        }
    }
}
