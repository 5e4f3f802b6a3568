//! A row filter on the values of one row, in three-valued logic.
//!
//! Used by `core::row_filter`. It decides only what is certain: wherever the server could see it another way (a collation, a
//! rounding, an overflow) it answers `Unknown`, and the server is asked for that row.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::core::expr::{Arithmetic, Comparison, Exact, Expr};
use crate::core::expr_call::call;
use crate::core::expr_form::Form;
use crate::core::expr_temporal::{Moment, parse_date_time, parse_time};
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
    Text(Cow<'a, [u8]>, Collation, bool),
    /// A text of the filter.
    Literal(&'a str),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A date.
    Date(Moment),
    /// A time, in microseconds.
    Time(i64),
    /// A YEAR.
    Year(u16),
    /// A value of which only the server knows more than that it is not NULL.
    Other,
    /// Only the server knows.
    Unknown,
}

/// The values of a row, and what is known of its columns for all rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'r, 'a> {
    /// Of each column that the filter names.
    pub values: &'r [Val<'a>],
    /// Of the same columns.
    pub forms: &'r [Form],
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

pub(super) fn whole(value: i128) -> Val<'static> {
    Val::Exact(Exact {
        mantissa: value,
        scale: 0,
        is_unsigned: false,
    })
}

/// What a condition comes to for the row whose columns have these values.
pub(super) fn truth(expr: &Expr, row: Row<'_, '_>) -> Truth {
    match expr {
        Expr::And(parts) => parts.iter().fold(Truth::True, |all, part| all.and(truth(part, row))),
        Expr::Or(parts) => parts.iter().fold(Truth::False, |any, part| any.or(truth(part, row))),
        Expr::Xor(a, b) => match (truth(a, row), truth(b, row)) {
            (Truth::Null, _) | (_, Truth::Null) => Truth::Null,
            (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
            (a, b) => Truth::of(a != b),
        },
        Expr::Not(part) => truth(part, row).not(),
        Expr::Compare(op, a, b) => compare(*op, &value(a, row), &value(b, row)),
        Expr::IsNull(part) => match value(part, row) {
            Val::Unknown => Truth::Unknown,
            found => Truth::of(found == Val::Null),
        },
        Expr::In(part, items) => {
            let parts: Vec<&Expr> = std::iter::once(&**part).chain(items).collect();
            let values: Vec<Val<'_>> = parts.iter().map(|part| value(part, row)).collect();
            if is_signed_and_unsigned(&values) || !Form::is_each_by_itself(&parts, row.forms) {
                return Truth::Unknown;
            }
            let equal = values[1..].iter().map(|item| compare(Comparison::Equal, &values[0], item));
            equal.fold(Truth::False, Truth::or)
        }
        Expr::Between(part, low, high) => {
            let values = [value(part, row), value(low, row), value(high, row)];
            if is_signed_and_unsigned(&values) || !Form::is_each_by_itself(&[part, low, high], row.forms) {
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
            Val::Year(year) => Truth::of(year != 0),
            _ => Truth::Unknown,
        },
    }
}

/// IN and BETWEEN of the server take -1 for 18446744073709551615 in places; single comparisons do not.
pub(super) fn is_signed_and_unsigned(values: &[Val<'_>]) -> bool {
    let any = |is: fn(&Exact) -> bool| values.iter().any(|value| matches!(value, Val::Exact(number) if is(number)));
    let is_large = any(|number| number.is_unsigned && number.mantissa > i128::from(i64::MAX));
    is_large || (any(|number| number.is_unsigned) && any(|number| number.mantissa < 0))
}

pub(super) fn value<'a>(expr: &'a Expr, row: Row<'_, 'a>) -> Val<'a> {
    match expr {
        Expr::Column(at) => row.values[*at].clone(),
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
        Expr::Case {
            subject,
            arms,
            otherwise,
        } => {
            let form = Form::of(expr, row.forms);
            match case(subject.as_deref(), arms, row) {
                Truth::Unknown => Val::Unknown,
                Truth::True => {
                    let taken = arms
                        .iter()
                        .find(|(when, _)| is_taken(subject.as_deref(), when, row) == Truth::True);
                    taken.map_or(Val::Unknown, |(_, then)| chosen(then, form, row))
                }
                Truth::False | Truth::Null => otherwise.as_deref().map_or(Val::Null, |part| chosen(part, form, row)),
            }
        }
        Expr::Json(..) => Val::Unknown,
        condition => truth(condition, row).value(),
    }
}

/// Whether an arm is taken, as far as that is known of all before it.
fn case(subject: Option<&Expr>, arms: &[(Expr, Expr)], row: Row<'_, '_>) -> Truth {
    if let Some(subject) = subject {
        let parts: Vec<&Expr> = std::iter::once(subject).chain(arms.iter().map(|(when, _)| when)).collect();
        let values: Vec<Val<'_>> = parts.iter().map(|part| value(part, row)).collect();
        if is_signed_and_unsigned(&values) || !Form::is_each_by_itself(&parts, row.forms) {
            return Truth::Unknown;
        }
    }
    for (when, _) in arms {
        match is_taken(subject, when, row) {
            Truth::False | Truth::Null => {}
            decided => return decided,
        }
    }
    Truth::False
}

fn is_taken(subject: Option<&Expr>, when: &Expr, row: Row<'_, '_>) -> Truth {
    match subject {
        None => truth(when, row),
        Some(subject) => compare(Comparison::Equal, &value(subject, row), &value(when, row)),
    }
}

/// The value of a part that was chosen among others, of which all together are of this form.
pub(super) fn chosen<'a>(part: &'a Expr, form: Form, row: Row<'_, 'a>) -> Val<'a> {
    match (form, value(part, row)) {
        (Form::Null | Form::Integer | Form::Literal(_) | Form::Date | Form::Time, found) => found,
        (Form::Text(collation, is_utf8), Val::Literal(text)) => Val::Text(text.as_bytes().into(), collation, is_utf8),
        (Form::Text(..), found) => found,
        (_, Val::Null) => Val::Null,
        _ => Val::Unknown,
    }
}

pub(super) fn compare(op: Comparison, a: &Val<'_>, b: &Val<'_>) -> Truth {
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
        (Val::Time(a), Val::Time(b)) => Some(a.cmp(b)),
        (Val::Time(a), Val::Literal(b)) => Some(a.cmp(&parse_time(b)?)),
        (Val::Literal(a), Val::Time(b)) => Some(parse_time(a)?.cmp(b)),
        (Val::Year(a), Val::Year(b)) => Some(a.cmp(b)),
        (Val::Year(a), Val::Exact(b)) => Some(i128::from(*a).cmp(&whole_year(b)?)),
        (Val::Exact(a), Val::Year(b)) => Some(whole_year(a)?.cmp(&i128::from(*b))),
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

/// A number that means itself as a YEAR.
fn whole_year(number: &Exact) -> Option<i128> {
    let is_plain = number.scale == 0 && (number.mantissa == 0 || (1901..=2155).contains(&number.mantissa));
    is_plain.then_some(number.mantissa)
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

pub(super) fn arithmetic(op: Arithmetic, a: &Val<'_>, b: &Val<'_>) -> Val<'static> {
    let (a, b) = match (a, b) {
        (Val::Unknown, _) | (_, Val::Unknown) => return Val::Unknown,
        (Val::Null, _) | (_, Val::Null) => return Val::Null,
        (a, b) => match (exact(a), exact(b)) {
            (Some(a), Some(b)) => (a, b),
            _ => return Val::Unknown,
        },
    };
    if a.scale > 0 || b.scale > 0 {
        return Val::Unknown;
    }
    let result = match op {
        Arithmetic::Add => a.mantissa.checked_add(b.mantissa),
        Arithmetic::Subtract => a.mantissa.checked_sub(b.mantissa),
        Arithmetic::Multiply => a.mantissa.checked_mul(b.mantissa),
        Arithmetic::Divide | Arithmetic::Modulo if b.mantissa == 0 => return Val::Null,
        Arithmetic::Divide => a.mantissa.checked_div(b.mantissa),
        Arithmetic::Modulo => a.mantissa.checked_rem(b.mantissa),
        Arithmetic::Quotient => return Val::Unknown,
    };
    // A remainder has the sign of what is divided.
    let is_unsigned = a.is_unsigned || (b.is_unsigned && op != Arithmetic::Modulo);
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

/// A number that is calculated with exactly.
pub(super) fn exact(value: &Val<'_>) -> Option<Exact> {
    match value {
        Val::Exact(number) => Some(*number),
        Val::Year(year) => Some(Exact {
            mantissa: i128::from(*year),
            scale: 0,
            is_unsigned: true,
        }),
        _ => None,
    }
}
