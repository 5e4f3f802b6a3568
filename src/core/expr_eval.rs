//! A row filter on the values of one row, in three-valued logic.
//!
//! Used by `core::row_filter`. It decides only what is certain: wherever the server could see it another way (a collation, a
//! rounding, an overflow) it answers `Unknown`, and the server is asked for that row.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::core::expr::{Arithmetic, Comparison, Exact, Expr};
use crate::core::expr_temporal::{Moment, parse_date_time};
use crate::core::expr_text::{Collation, Verdict};

/// A whole number up to this is the same as a double.
const EXACT_IN_DOUBLE: u128 = 1 << 53;

/// What a condition comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// Holds.
    True,
    /// Does not hold.
    False,
    /// NULL: does not hold, nor does its opposite.
    Null,
    /// Only the server knows.
    Unknown,
}

/// A value of a row or of a part of a filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Val<'a> {
    /// NULL.
    Null,
    /// An exact number.
    Exact(Exact),
    /// FLOAT or DOUBLE.
    Double(f64),
    /// A text of a column; the flag says that it is UTF-8.
    Text(&'a [u8], Collation, bool),
    /// A text of the filter.
    Literal(&'a str),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A date.
    Date(Moment),
    /// A value of which only the server knows more than that it is not NULL.
    Other,
    /// Only the server knows.
    Unknown,
}

impl Truth {
    fn of(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            other => other,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Null, _) | (_, Self::Null) => Self::Null,
            (Self::True, Self::True) => Self::True,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn value(self) -> Val<'static> {
        match self {
            Self::True => whole(1),
            Self::False => whole(0),
            Self::Null => Val::Null,
            Self::Unknown => Val::Unknown,
        }
    }
}

fn whole(value: i128) -> Val<'static> {
    Val::Exact(Exact {
        mantissa: value,
        scale: 0,
        is_unsigned: false,
    })
}

/// What a condition comes to for the row whose columns have these values.
#[must_use]
pub fn truth(expr: &Expr, row: &[Val<'_>]) -> Truth {
    match expr {
        Expr::And(parts) => parts.iter().fold(Truth::True, |all, part| all.and(truth(part, row))),
        Expr::Or(parts) => parts.iter().fold(Truth::False, |any, part| any.or(truth(part, row))),
        Expr::Not(part) => truth(part, row).not(),
        Expr::Compare(op, a, b) => compare(*op, &value(a, row), &value(b, row)),
        Expr::IsNull(part) => match value(part, row) {
            Val::Unknown => Truth::Unknown,
            found => Truth::of(found == Val::Null),
        },
        Expr::In(part, items) => {
            let values: Vec<Val<'_>> = std::iter::once(&**part).chain(items).map(|part| value(part, row)).collect();
            if is_signed_and_unsigned(&values) {
                return Truth::Unknown;
            }
            let equal = values[1..].iter().map(|item| compare(Comparison::Equal, &values[0], item));
            equal.fold(Truth::False, Truth::or)
        }
        Expr::Between(part, low, high) => {
            let values = [value(part, row), value(low, row), value(high, row)];
            if is_signed_and_unsigned(&values) {
                return Truth::Unknown;
            }
            let above = compare(Comparison::GreaterOrEqual, &values[0], &values[1]);
            above.and(compare(Comparison::LessOrEqual, &values[0], &values[2]))
        }
        Expr::Like(part, pattern) => like(&value(part, row), &value(pattern, row)),
        other => match value(other, row) {
            Val::Null => Truth::Null,
            Val::Exact(number) => Truth::of(number.mantissa != 0),
            Val::Double(number) => Truth::of(number != 0.0),
            _ => Truth::Unknown,
        },
    }
}

/// IN and BETWEEN of the server take -1 for 18446744073709551615 in places; single comparisons do not.
fn is_signed_and_unsigned(values: &[Val<'_>]) -> bool {
    let any = |is: fn(&Exact) -> bool| values.iter().any(|value| matches!(value, Val::Exact(number) if is(number)));
    let is_large = any(|number| number.is_unsigned && number.mantissa > i128::from(i64::MAX));
    is_large || (any(|number| number.is_unsigned) && any(|number| number.mantissa < 0))
}

fn value<'a>(expr: &'a Expr, row: &[Val<'a>]) -> Val<'a> {
    match expr {
        Expr::Column(at) => row[*at].clone(),
        Expr::Null => Val::Null,
        Expr::Number(number) => Val::Exact(*number),
        Expr::Double(text) => text.parse().map_or(Val::Unknown, Val::Double),
        Expr::Text(text) => Val::Literal(text),
        Expr::Bytes(bytes) => Val::Bytes(Cow::Borrowed(bytes)),
        Expr::Arithmetic(op, a, b) => arithmetic(*op, &value(a, row), &value(b, row)),
        Expr::Negative(part) => match value(part, row) {
            Val::Null => Val::Null,
            Val::Exact(number) if !number.is_unsigned && number.mantissa != i128::from(i64::MIN) => Val::Exact(Exact {
                mantissa: -number.mantissa,
                ..number
            }),
            Val::Double(number) => Val::Double(-number),
            _ => Val::Unknown,
        },
        Expr::Call(name, arguments) => call(name, arguments, row),
        condition => truth(condition, row).value(),
    }
}

/// The few functions that are the same everywhere; the server knows the others.
fn call<'a>(name: &str, arguments: &'a [Expr], row: &[Val<'a>]) -> Val<'a> {
    let values: Vec<Val<'a>> = arguments.iter().map(|argument| value(argument, row)).collect();
    match (name, &values[..]) {
        ("ABS", [Val::Null]) | ("MOD", [Val::Null, _] | [_, Val::Null]) => Val::Null,
        ("ABS", [Val::Exact(number)]) if number.mantissa != i128::from(i64::MIN) => Val::Exact(Exact {
            mantissa: number.mantissa.abs(),
            ..*number
        }),
        ("ABS", [Val::Double(number)]) => Val::Double(number.abs()),
        ("MOD", [a, b]) => arithmetic(Arithmetic::Modulo, a, b),
        // Numbers of one form only: the result has the widest form of all arguments.
        ("COALESCE" | "IFNULL", values)
            if values.iter().all(|value| {
                matches!(
                    value,
                    Val::Null
                        | Val::Exact(Exact {
                            scale: 0,
                            is_unsigned: false,
                            ..
                        })
                )
            }) =>
        {
            values.iter().find(|value| **value != Val::Null).cloned().unwrap_or(Val::Null)
        }
        _ => Val::Unknown,
    }
}

fn compare(op: Comparison, a: &Val<'_>, b: &Val<'_>) -> Truth {
    let verdict = match (a, b) {
        (Val::Unknown, _) | (_, Val::Unknown) => return Truth::Unknown,
        (Val::Null, Val::Null) if op == Comparison::NullSafeEqual => return Truth::True,
        (Val::Null, _) | (_, Val::Null) if op == Comparison::NullSafeEqual => return Truth::False,
        (Val::Null, _) | (_, Val::Null) => return Truth::Null,
        (a, b) => verdict(a, b),
    };
    match (verdict, op) {
        (None, _) => Truth::Unknown,
        (Some(Verdict::Different), Comparison::Equal | Comparison::NullSafeEqual) => Truth::False,
        (Some(Verdict::Different), Comparison::NotEqual) => Truth::True,
        (Some(Verdict::Different), _) => Truth::Unknown,
        (Some(Verdict::Order(order)), op) => Truth::of(match op {
            Comparison::Equal | Comparison::NullSafeEqual => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }),
    }
}

fn verdict(a: &Val<'_>, b: &Val<'_>) -> Option<Verdict> {
    let order = match (a, b) {
        (Val::Exact(a), Val::Exact(b)) => exact_order(a, b),
        (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
        (Val::Exact(a), Val::Double(b)) => double(a)?.partial_cmp(b),
        (Val::Double(a), Val::Exact(b)) => a.partial_cmp(&double(b)?),
        (Val::Date(a), Val::Date(b)) => Some(a.cmp(b)),
        (Val::Date(a), Val::Literal(b)) => Some(a.cmp(&parse_date_time(b)?)),
        (Val::Literal(a), Val::Date(b)) => Some(parse_date_time(a)?.cmp(b)),
        (Val::Bytes(a), Val::Bytes(b)) => Some(a.cmp(b)),
        (Val::Bytes(a), Val::Literal(b)) => Some((**a).cmp(b.as_bytes())),
        (Val::Literal(a), Val::Bytes(b)) => Some(a.as_bytes().cmp(b)),
        (Val::Text(text, collation, is_utf8), Val::Literal(literal)) => {
            return comparable(text, literal.as_bytes(), *is_utf8).then(|| collation.compare(text, literal.as_bytes()))?;
        }
        (Val::Literal(literal), Val::Text(text, collation, is_utf8)) => {
            return comparable(text, literal.as_bytes(), *is_utf8).then(|| collation.compare(literal.as_bytes(), text))?;
        }
        (Val::Text(a, one, true), Val::Text(b, other, true)) if one == other => return one.compare(a, b),
        _ => None,
    };
    order.map(Verdict::Order)
}

/// Bytes of a column and of a literal mean the same characters.
fn comparable(text: &[u8], literal: &[u8], is_utf8: bool) -> bool {
    is_utf8 || (text.is_ascii() && literal.is_ascii())
}

fn like(text: &Val<'_>, pattern: &Val<'_>) -> Truth {
    match (text, pattern) {
        (Val::Null, _) | (_, Val::Null) => Truth::Null,
        (Val::Text(text, collation, _), Val::Literal(pattern)) => {
            collation.like(text, pattern.as_bytes()).map_or(Truth::Unknown, Truth::of)
        }
        _ => Truth::Unknown,
    }
}

fn exact_order(a: &Exact, b: &Exact) -> Option<Ordering> {
    let scale = a.scale.max(b.scale);
    Some(scaled(a, scale)?.cmp(&scaled(b, scale)?))
}

fn scaled(number: &Exact, scale: u8) -> Option<i128> {
    let factor = 10_i128.checked_pow(u32::from(scale - number.scale))?;
    number.mantissa.checked_mul(factor)
}

/// The same number as a double, when it surely is the same.
fn double(number: &Exact) -> Option<f64> {
    let is_sure = number.scale == 0 && number.mantissa.unsigned_abs() <= EXACT_IN_DOUBLE;
    is_sure.then(|| number.to_string().parse().ok())?
}

fn arithmetic(op: Arithmetic, a: &Val<'_>, b: &Val<'_>) -> Val<'static> {
    let (a, b) = match (a, b) {
        (Val::Unknown, _) | (_, Val::Unknown) => return Val::Unknown,
        (Val::Null, _) | (_, Val::Null) => return Val::Null,
        (Val::Exact(a), Val::Exact(b)) => (a, b),
        _ => return Val::Unknown,
    };
    let is_whole = a.scale == 0 && b.scale == 0;
    let is_divided = matches!(op, Arithmetic::Divide | Arithmetic::Modulo);
    if !is_whole || (is_divided && (a.is_unsigned || b.is_unsigned)) {
        return Val::Unknown;
    }
    let result = match op {
        Arithmetic::Add => a.mantissa.checked_add(b.mantissa),
        Arithmetic::Subtract => a.mantissa.checked_sub(b.mantissa),
        Arithmetic::Multiply => a.mantissa.checked_mul(b.mantissa),
        Arithmetic::Divide | Arithmetic::Modulo if b.mantissa == 0 => return Val::Null,
        Arithmetic::Divide => a.mantissa.checked_div(b.mantissa),
        Arithmetic::Modulo => a.mantissa.checked_rem(b.mantissa),
    };
    let is_unsigned = a.is_unsigned || b.is_unsigned;
    let range = match is_unsigned {
        true => 0..=i128::from(u64::MAX),
        false => i128::from(i64::MIN)..=i128::from(i64::MAX),
    };
    // Beyond, the server ends the statement: it must be the one that says so.
    match result.filter(|result| range.contains(result)) {
        Some(mantissa) => Val::Exact(Exact {
            mantissa,
            scale: 0,
            is_unsigned,
        }),
        None => Val::Unknown,
    }
}
