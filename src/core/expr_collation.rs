//! Texts of two collations in one comparison of a row filter: refused.
//!
//! Used by `core::row_filter`. MySQL takes one of the two, or ends the statement, by rules about where a text comes from; constants of
//! a row do not come from where its columns do.

use crate::core::expr::Expr;

/// Checks a filter; `columns` are the collations of the columns it names, None for what has none.
///
/// # Errors
/// Names the collations.
pub(super) fn check(expr: &Expr, columns: &[Option<&str>]) -> Result<(), String> {
    collation(expr, columns).map(|_| ())
}

/// The collation that columns give a part.
fn collation<'c>(expr: &Expr, columns: &[Option<&'c str>]) -> Result<Option<&'c str>, String> {
    let of = |part: &Expr| collation(part, columns);
    let apart = |parts: &[&Expr]| parts.iter().try_for_each(|part| of(part).map(|_| ())).map(|()| None);
    match expr {
        Expr::Column(at) => Ok(columns[*at]),
        Expr::Null | Expr::Number(_) | Expr::Double(_) | Expr::Text(_) | Expr::Bytes(_) | Expr::Json(..) => Ok(None),
        Expr::And(parts) | Expr::Or(parts) => apart(&parts.iter().collect::<Vec<_>>()),
        Expr::Not(part) | Expr::IsNull(part) | Expr::Negative(part) => apart(&[part]),
        Expr::Xor(a, b) | Expr::Arithmetic(_, a, b) => apart(&[a, b]),
        Expr::Compare(_, a, b) | Expr::Like(a, b) => together([of(a)?, of(b)?]).map(|_| None),
        Expr::Between(part, low, high) => together([of(part)?, of(low)?, of(high)?]).map(|_| None),
        Expr::In(part, items) => {
            let all = std::iter::once(&**part).chain(items).map(of).collect::<Result<Vec<_>, _>>()?;
            together(all).map(|_| None)
        }
        Expr::Call(name, arguments) => {
            let all = arguments.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            let is_number = matches!(
                name.as_str(),
                "CHAR_LENGTH" | "LENGTH" | "CRC32" | "FIND_IN_SET" | "INSTR" | "LOCATE"
            );
            let found = together(all)?;
            Ok(found.filter(|_| !is_number))
        }
        Expr::Case {
            subject,
            arms,
            otherwise,
        } => {
            let whens = arms.iter().map(|(when, _)| of(when)).collect::<Result<Vec<_>, _>>()?;
            if let Some(subject) = subject {
                together(whens.into_iter().chain([of(subject)?]))?;
            }
            let results = arms.iter().map(|(_, then)| then).chain(otherwise.as_deref());
            together(results.map(of).collect::<Result<Vec<_>, _>>()?)
        }
    }
}

fn together<'c>(parts: impl IntoIterator<Item = Option<&'c str>>) -> Result<Option<&'c str>, String> {
    parts.into_iter().flatten().try_fold(None, |one, other| match one {
        Some(one) if one != other => Err(format!(
            "texts of {one} and of {other} together: compare each with texts of the filter"
        )),
        _ => Ok(Some(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::expr_parse::parse;

    #[test]
    fn texts_of_two_collations_are_refused_where_they_meet_and_only_there() {
        let found = |text: &str| {
            let parsed = parse(text).unwrap();
            let of = |name: &String| match name.as_str() {
                "a" | "c" => Some("one"),
                "b" => Some("two"),
                _ => None,
            };
            let columns: Vec<Option<&str>> = parsed.names.iter().map(of).collect();
            check(&parsed.expr, &columns)
        };
        for text in [
            "a = b",
            "a IN ('x', UPPER(b))",
            "n = 1 AND NOT CONCAT(a, LEFT(b, 1)) = 'x'",
            "a BETWEEN 'x' AND b",
            "CASE a WHEN b THEN 1 END",
            "IF(n, a, b) = 'x'",
            "CASE WHEN n THEN a ELSE b END IS NULL",
            "FIND_IN_SET(a, b)",
        ] {
            let error = found(text).expect_err(text);
            assert!(
                error.starts_with("texts of ") && error.contains("one") && error.contains("two"),
                "{error}"
            );
        }
        for text in [
            "a = 'x' AND b = 'x'",
            "a = c",
            "LENGTH(a) = LENGTH(b)",
            "IF(a = 'x', n, LENGTH(b)) = 1",
            "CASE WHEN a = 'x' THEN b ELSE 'y' END = 'z'",
        ] {
            assert_eq!(found(text), Ok(()), "{text}");
        }
    }
}
