//! What differs between two versions of a job, as a person reads it.
//!
//! Pure; used when a submit meets another content. Secrets never appear: a changed password is only said to differ.

use std::collections::BTreeSet;

use serde_json::Value;

/// Most differences listed; the rest is counted.
const DIFFERENCES_MAX: usize = 20;

/// One field of a job that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// Where it is in the stored form, `link.rate_bytes`.
    pub path: String,
    /// As a line for people, `link.rate_bytes: 0 -> 3000000`.
    pub text: String,
}

/// Returns every differing field, in the order of paths.
#[must_use]
pub fn field_differences(old: &Value, new: &Value) -> Vec<FieldDifference> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    found
}

/// Returns one line per differing field, `link.rate_bytes: 0 -> 3000000`.
#[must_use]
pub fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut found: Vec<String> = field_differences(old, new).into_iter().map(|field| field.text).collect();
    let more = found.len().saturating_sub(DIFFERENCES_MAX);
    found.truncate(DIFFERENCES_MAX);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<FieldDifference>) {
    if old == new {
        return;
    }
    let mut tell = |text: String| {
        let path = path.to_owned();
        found.push(FieldDifference { path, text });
    };
    if path.ends_with("password") {
        return tell(format!("{path} differs"));
    }
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(
                    &path,
                    old.get(key).unwrap_or(&Value::Null),
                    new.get(key).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        _ => tell(format!("{path}: {old} -> {new}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_differing_field_is_one_line() {
        let old = json!({"link": {"rate_bytes": 0, "batch": 1}, "tables": [1]});
        let new = json!({"link": {"rate_bytes": 5, "batch": 1}, "tables": [1, 2]});
        assert_eq!(differences(&old, &new), ["link.rate_bytes: 0 -> 5", "tables: [1] -> [1,2]"]);
        assert!(differences(&old, &old).is_empty());
    }

    #[test]
    fn a_password_is_never_shown() {
        let old = json!({"source": {"endpoint": {"password": {"text": "alpha"}}}});
        let new = json!({"source": {"endpoint": {"password": {"text": "omega"}}}});
        assert_eq!(differences(&old, &new), ["source.endpoint.password differs"]);
    }
}
