//! The functions of a row filter that are decided here; the source server knows the others.
//!
//! The part of `core::expr_eval` behind `Expr::Call`. Texts are decided when they are plain ASCII: their letters, lengths and cases are
//! the same everywhere then.

use crate::core::expr::{Arithmetic, Comparison, Exact, Expr};
use crate::core::expr_eval::{Row, Truth, Val, arithmetic, chosen, compare, exact, truth, value, whole};
use crate::core::expr_form::Form;

/// The value of a call; Unknown: the server knows.
pub(super) fn call<'a>(name: &str, arguments: &'a [Expr], row: Row<'_, 'a>) -> Val<'a> {
    match (name, arguments) {
        ("IF", [condition, one, other]) => {
            let form = Form::joined([one, other].into_iter(), row.forms);
            match truth(condition, row) {
                Truth::True => chosen(one, form, row),
                Truth::False | Truth::Null => chosen(other, form, row),
                Truth::Unknown => Val::Unknown,
            }
        }
        ("COALESCE" | "IFNULL", parts) => {
            let form = Form::joined(parts.iter(), row.forms);
            let found = parts
                .iter()
                .map(|part| chosen(part, form, row))
                .find(|found| *found != Val::Null);
            found.unwrap_or(Val::Null)
        }
        _ => {
            let values: Vec<Val<'a>> = arguments.iter().map(|argument| value(argument, row)).collect();
            let is_integer = arguments.iter().all(|part| Form::of(part, row.forms) == Form::Integer);
            match &values[..] {
                _ if values.contains(&Val::Unknown) => Val::Unknown,
                [Val::Text(text, ..), ..] if matches!(name, "LENGTH") => whole(length(text)),
                [Val::Text(text, ..)] if name == "CRC32" => unsigned(crc32fast::hash(text).into()),
                [Val::Bytes(bytes)] if name == "CRC32" => unsigned(crc32fast::hash(bytes).into()),
                [Val::Date(moment)] => of_date(name, moment),
                [Val::Text(text, collation, true), counts @ ..] if text.is_ascii() => {
                    let counts: Option<Vec<i128>> = counts.iter().map(count).collect();
                    let found = counts.map(|counts| of_text(name, text, &counts)).unwrap_or_default();
                    match found {
                        Some(_) if name == "CHAR_LENGTH" => whole(length(text)),
                        Some(found) => Val::Text(found.into(), *collation, true),
                        None => Val::Unknown,
                    }
                }
                values => of_numbers(name, values, is_integer),
            }
        }
    }
}

fn length(text: &[u8]) -> i128 {
    i128::try_from(text.len()).expect("a text in memory")
}

fn count(value: &Val<'_>) -> Option<i128> {
    exact(value).filter(|number| number.scale == 0).map(|number| number.mantissa)
}

fn unsigned(value: i128) -> Val<'static> {
    Val::Exact(Exact {
        mantissa: value,
        scale: 0,
        is_unsigned: true,
    })
}

fn of_numbers(name: &str, values: &[Val<'_>], is_integer: bool) -> Val<'static> {
    let whole_numbers = || values.iter().map(count).collect::<Option<Vec<i128>>>();
    let is_null = values.contains(&Val::Null);
    match (name, values) {
        ("ABS" | "CEILING" | "FLOOR" | "ROUND" | "SIGN" | "GREATEST" | "LEAST", _) if is_null => Val::Null,
        ("MOD", [a, b]) => arithmetic(Arithmetic::Modulo, a, b),
        ("ABS", [Val::Exact(number)]) if number.mantissa != i128::from(i64::MIN) => Val::Exact(Exact {
            mantissa: number.mantissa.abs(),
            ..*number
        }),
        ("ABS", [Val::Double(number)]) => Val::Double(number.abs()),
        ("SIGN", [Val::Exact(number)]) => whole(number.mantissa.signum()),
        ("CEILING" | "FLOOR" | "ROUND", [Val::Exact(number)]) if number.scale == 0 => Val::Exact(*number),
        ("GREATEST", _) if is_integer => whole_numbers()
            .and_then(|all| all.into_iter().max())
            .map_or(Val::Unknown, whole),
        ("LEAST", _) if is_integer => whole_numbers()
            .and_then(|all| all.into_iter().min())
            .map_or(Val::Unknown, whole),
        ("NULLIF", [a, b]) if is_integer => match (compare(Comparison::Equal, a, b), count(a)) {
            (Truth::True, _) => Val::Null,
            (Truth::False, Some(number)) => whole(number),
            (Truth::Null, number) => number.map_or(Val::Null, whole),
            _ => Val::Unknown,
        },
        _ => Val::Unknown,
    }
}

/// The parts of a date that are plain also when some of it is zero.
fn of_date(name: &str, moment: &crate::core::expr_temporal::Moment) -> Val<'static> {
    let (year, month, day, hours, minutes, seconds, _) = *moment;
    whole(match name {
        "DATE" => return Val::Date((year, month, day, 0, 0, 0, 0)),
        "YEAR" => year.into(),
        "QUARTER" => i128::from(month.div_ceil(3)),
        "MONTH" => month.into(),
        "DAYOFMONTH" => day.into(),
        "HOUR" => hours.into(),
        "MINUTE" => minutes.into(),
        "SECOND" => seconds.into(),
        _ => return Val::Unknown,
    })
}

/// A text of ASCII made of one; None: the server knows.
fn of_text(name: &str, text: &[u8], counts: &[i128]) -> Option<Vec<u8>> {
    let size = length(text);
    let part = |from: i128, to: i128| {
        let bound = |at: i128| usize::try_from(at.clamp(0, size)).expect("within a text in memory");
        text.get(bound(from)..bound(to)).unwrap_or_default().to_vec()
    };
    let spaces = |from_end: bool| {
        let is_letter = |byte: &u8| *byte != b' ';
        let found = if from_end {
            text.iter().rposition(is_letter)
        } else {
            text.iter().position(is_letter)
        };
        found.map_or(size, |at| i128::try_from(at).expect("within a text in memory"))
    };
    let end = || if spaces(true) == size { 0 } else { spaces(true) + 1 };
    Some(match (name, counts) {
        ("CHAR_LENGTH", []) => text.to_vec(),
        ("LOWER", []) => text.to_ascii_lowercase(),
        ("UPPER", []) => text.to_ascii_uppercase(),
        ("TRIM", []) => part(spaces(false), end()),
        ("LTRIM", []) => part(spaces(false), size),
        ("RTRIM", []) => part(0, end()),
        ("LEFT", [count]) => part(0, *count),
        ("RIGHT", [count]) => part(size - count.clamp(&0, &size), size),
        ("SUBSTRING", [from, rest @ ..]) => {
            let begin = if *from > 0 { from - 1 } else { size + from };
            let length = rest.first().copied().unwrap_or(size);
            let is_empty = *from == 0 || begin < 0 || begin >= size || length <= 0;
            if is_empty {
                Vec::new()
            } else {
                part(begin, begin + length.min(size))
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_texts_are_those_of_the_server() {
        let of = |name, text: &str, counts: &[i128]| {
            of_text(name, text.as_bytes(), counts).map(|found| String::from_utf8(found).unwrap())
        };
        for (name, text, counts, found) in [
            ("TRIM", "  a b ", &[][..], "a b"),
            ("TRIM", "   ", &[], ""),
            ("RTRIM", " a ", &[], " a"),
            ("LTRIM", " a ", &[], "a "),
            ("LEFT", "abc", &[2], "ab"),
            ("LEFT", "abc", &[-1], ""),
            ("RIGHT", "abc", &[2], "bc"),
            ("RIGHT", "abc", &[9], "abc"),
            ("RIGHT", "abc", &[i128::from(u64::MAX)], "abc"),
            ("SUBSTRING", "abc", &[2], "bc"),
            ("SUBSTRING", "abc", &[0], ""),
            ("SUBSTRING", "abc", &[-2, 1], "b"),
            ("SUBSTRING", "abc", &[-4], ""),
            ("SUBSTRING", "abc", &[3, 9], "c"),
            ("SUBSTRING", "abc", &[4], ""),
            ("SUBSTRING", "abc", &[1, 0], ""),
            ("SUBSTRING", "abc", &[i128::from(i64::MAX), i128::from(i64::MAX)], ""),
        ] {
            assert_eq!(of(name, text, counts).as_deref(), Some(found), "{name} {text} {counts:?}");
        }
        assert_eq!(of("INSTR", "abc", &[]), None);
    }
}
