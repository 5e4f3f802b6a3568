//! The types of a row filter: which columns it names, and whether its comparisons mean the same everywhere.
//!
//! Used by `core::row_filter` once the table is known. What MySQL would convert silently (a text against a number) is refused: the
//! result would depend on more than the row.

use crate::core::expr::Expr;
use crate::core::expr_temporal::{parse_date_time, parse_time};
use crate::core::shape::ColumnKind;

/// What kind of value a part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// NULL alone.
    Null,
    /// Numbers, truth values and BIT.
    Number,
    /// Text with a collation.
    Text,
    /// Bytes.
    Bytes,
    /// DATE, DATETIME, TIMESTAMP (in UTC).
    Date,
    /// TIME.
    Time,
    /// YEAR.
    Year,
    /// ENUM: its label; SET: its labels with commas between.
    Enum,
    /// What stands at a path of a JSON document.
    JsonText,
    /// Only IS NULL is defined for it here.
    Opaque,
}

impl Class {
    /// The class of a column.
    #[must_use]
    pub fn of(kind: &ColumnKind) -> Self {
        use ColumnKind as K;
        match kind {
            K::Int { .. } | K::Decimal { .. } | K::Float | K::Double | K::Bit { .. } => Self::Number,
            K::Date | K::DateTime { .. } | K::Timestamp { .. } => Self::Date,
            K::Time { .. } => Self::Time,
            K::Char { .. } | K::VarChar { .. } | K::Text { .. } => Self::Text,
            K::Binary { .. } | K::VarBinary { .. } | K::Blob { .. } => Self::Bytes,
            K::Enum { .. } | K::Set { .. } => Self::Enum,
            K::Year => Self::Year,
            K::Json | K::Geometry | K::Vector => Self::Opaque,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Bytes => "bytes",
            Self::Date => "a date",
            Self::Time => "a time",
            Self::Year => "a YEAR",
            Self::Enum => "an ENUM or SET",
            Self::JsonText => "a value of a JSON document",
            Self::Opaque => "a column of which only IS NULL is known",
        }
    }
}

/// A function that a filter may use: its result depends on its arguments alone.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// In upper case.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arguments: (usize, usize),
    /// What they are; None: anything of one class.
    pub takes: Option<Class>,
    /// What it gives; None: what its arguments are.
    pub gives: Option<Class>,
}

const fn function(name: &'static str, arguments: (usize, usize), takes: Option<Class>, gives: Option<Class>) -> Function {
    Function {
        name,
        arguments,
        takes,
        gives,
    }
}

const NUMBER: Option<Class> = Some(Class::Number);
const TEXT: Option<Class> = Some(Class::Text);
const DATE: Option<Class> = Some(Class::Date);

/// All of them. LEFT, RIGHT and SUBSTRING take numbers behind the text, IF a condition before its values.
pub const FUNCTIONS: [Function; 38] = [
    function("ABS", (1, 1), NUMBER, NUMBER),
    function("CEILING", (1, 1), NUMBER, NUMBER),
    function("FLOOR", (1, 1), NUMBER, NUMBER),
    function("MOD", (2, 2), NUMBER, NUMBER),
    function("ROUND", (1, 2), NUMBER, NUMBER),
    function("SIGN", (1, 1), NUMBER, NUMBER),
    function("IF", (3, 3), None, None),
    function("COALESCE", (1, 20), None, None),
    function("IFNULL", (2, 2), None, None),
    function("NULLIF", (2, 2), None, None),
    function("GREATEST", (2, 20), None, None),
    function("LEAST", (2, 20), None, None),
    function("CHAR_LENGTH", (1, 1), TEXT, NUMBER),
    function("LENGTH", (1, 1), TEXT, NUMBER),
    function("CRC32", (1, 1), TEXT, NUMBER),
    function("FIND_IN_SET", (2, 2), TEXT, NUMBER),
    function("INSTR", (2, 2), TEXT, NUMBER),
    function("LOCATE", (2, 2), TEXT, NUMBER),
    function("REPLACE", (3, 3), TEXT, TEXT),
    function("CONCAT", (1, 20), TEXT, TEXT),
    function("LOWER", (1, 1), TEXT, TEXT),
    function("UPPER", (1, 1), TEXT, TEXT),
    function("TRIM", (1, 1), TEXT, TEXT),
    function("LTRIM", (1, 1), TEXT, TEXT),
    function("RTRIM", (1, 1), TEXT, TEXT),
    function("LEFT", (2, 2), TEXT, TEXT),
    function("RIGHT", (2, 2), TEXT, TEXT),
    function("SUBSTRING", (2, 3), TEXT, TEXT),
    function("DATE", (1, 1), DATE, DATE),
    function("YEAR", (1, 1), DATE, NUMBER),
    function("QUARTER", (1, 1), DATE, NUMBER),
    function("MONTH", (1, 1), DATE, NUMBER),
    function("DAYOFMONTH", (1, 1), DATE, NUMBER),
    function("DAYOFWEEK", (1, 1), DATE, NUMBER),
    function("DAYOFYEAR", (1, 1), DATE, NUMBER),
    function("HOUR", (1, 1), DATE, NUMBER),
    function("MINUTE", (1, 1), DATE, NUMBER),
    function("SECOND", (1, 1), DATE, NUMBER),
];
/// Those of them whose values may be dates or times too.
const CHOOSERS: [&str; 3] = ["IF", "COALESCE", "IFNULL"];

/// Checks a whole filter; `columns` are the classes of the columns it names.
///
/// # Errors
/// Says what has no meaning here.
pub fn check(expr: &Expr, columns: &[Class]) -> Result<(), String> {
    match class(expr, columns)? {
        Class::Number | Class::Null => Ok(()),
        other => Err(format!("{} where a condition is needed", other.word())),
    }
}

fn class(expr: &Expr, columns: &[Class]) -> Result<Class, String> {
    let condition = |part: &Expr| check(part, columns);
    match expr {
        Expr::Column(at) => Ok(columns[*at]),
        Expr::Null => Ok(Class::Null),
        Expr::Number(_) | Expr::Double(_) => Ok(Class::Number),
        Expr::Text(_) => Ok(Class::Text),
        Expr::Bytes(_) => Ok(Class::Bytes),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().try_for_each(condition).map(|()| Class::Number),
        Expr::Not(part) => condition(part).map(|()| Class::Number),
        Expr::IsNull(part) => class(part, columns).map(|_| Class::Number),
        Expr::Compare(_, a, b) => compared(a, &[b], columns),
        Expr::In(part, items) => compared(part, &items.iter().collect::<Vec<_>>(), columns),
        Expr::Between(part, low, high) => compared(part, &[low, high], columns),
        Expr::Xor(a, b) => condition(a).and_then(|()| condition(b)).map(|()| Class::Number),
        Expr::Like(part, pattern) => {
            let found = class(part, columns)?;
            match (found, &**pattern) {
                (Class::Text | Class::Enum | Class::JsonText | Class::Null, Expr::Text(_)) => Ok(Class::Number),
                (Class::Text | Class::Enum | Class::JsonText | Class::Null, _) => Err("LIKE without a text behind it".into()),
                _ => Err(format!("LIKE on {}", found.word())),
            }
        }
        Expr::Arithmetic(op, a, b) => number(a, op.sql(), columns).and_then(|_| number(b, op.sql(), columns)),
        Expr::Negative(part) => number(part, "-", columns),
        Expr::Call(name, arguments) => call(name, arguments, columns),
        Expr::Json(_, path) => Err(format!("`->> '{}'` on what is no JSON column", path.text())),
        Expr::Case {
            subject,
            arms,
            otherwise,
        } => {
            match subject {
                None => arms.iter().try_for_each(|(when, _)| condition(when))?,
                Some(subject) => subjected(subject, arms, columns)?,
            }
            let mut results = arms.iter().map(|(_, then)| then).chain(otherwise.as_deref());
            results.try_fold(Class::Null, |common, result| joined("CASE", common, class(result, columns)?))
        }
    }
}

/// `CASE subject WHEN …`: the server compares dates in it as texts, which they are not here.
fn subjected(subject: &Expr, arms: &[(Expr, Expr)], columns: &[Class]) -> Result<(), String> {
    let found = class(subject, columns)?;
    if !matches!(
        found,
        Class::Number | Class::Text | Class::Enum | Class::JsonText | Class::Null
    ) {
        return Err(format!("CASE of {}: write CASE WHEN … = … THEN", found.word()));
    }
    compared(subject, &arms.iter().map(|(when, _)| when).collect::<Vec<_>>(), columns).map(|_| ())
}

/// The class of values of which one is chosen.
fn joined(name: &str, common: Class, found: Class) -> Result<Class, String> {
    match (common, found) {
        (common, Class::Null) => Ok(common),
        (Class::Null, Class::Number | Class::Text | Class::Date | Class::Time) => Ok(found),
        (common, found) if common == found => Ok(common),
        (Class::Null, found) => Err(format!("{name} with {} as its result", found.word())),
        (common, found) => Err(format!("{name} with {} and {} as its results", common.word(), found.word())),
    }
}

fn number(part: &Expr, operator: &str, columns: &[Class]) -> Result<Class, String> {
    match class(part, columns)? {
        Class::Number | Class::Year | Class::Null => Ok(Class::Number),
        other => Err(format!("`{operator}` on {}", other.word())),
    }
}

/// Whether each pair is of classes that MySQL compares without converting what is in the rows.
fn compared(first: &Expr, others: &[&Expr], columns: &[Class]) -> Result<Class, String> {
    let left = class(first, columns)?;
    for other in others {
        let right = class(other, columns)?;
        let is_text = |part: &Expr| matches!(part, Expr::Text(_));
        let is_date = |part: &Expr| matches!(part, Expr::Text(text) if parse_date_time(text).is_some());
        let is_time = |part: &Expr| matches!(part, Expr::Text(text) if parse_time(text).is_some());
        let is_fit = match (left, right) {
            (Class::Opaque, _) | (_, Class::Opaque) => false,
            (Class::Null, _) | (_, Class::Null) => true,
            (Class::Date, Class::Text) => is_date(other),
            (Class::Text, Class::Date) => is_date(first),
            (Class::Time, Class::Text) => is_time(other),
            (Class::Text, Class::Time) => is_time(first),
            (Class::Year, Class::Number) => is_year(other),
            (Class::Number, Class::Year) => is_year(first),
            (Class::Enum | Class::JsonText, Class::Text) => is_text(other),
            (Class::Text, Class::Enum | Class::JsonText) => is_text(first),
            (Class::Bytes, Class::Text) => is_text(other),
            (Class::Text, Class::Bytes) => is_text(first),
            (Class::Enum, Class::Enum) | (Class::JsonText, Class::JsonText) => false,
            (left, right) => left == right,
        };
        if !is_fit {
            return Err(format!(
                "a comparison of {} with {}{}",
                left.word(),
                right.word(),
                hint([left, right], [first, other])
            ));
        }
    }
    Ok(Class::Number)
}

/// The server has rules for numbers of one or two digits against a YEAR; any other number is no year.
fn is_year(part: &Expr) -> bool {
    match part {
        Expr::Number(number) => number.scale == 0 && (number.mantissa == 0 || (1901..=2155).contains(&number.mantissa)),
        _ => false,
    }
}

/// What to write instead of a comparison that is refused.
fn hint(classes: [Class; 2], parts: [&Expr; 2]) -> String {
    let is = |class: Class| classes.contains(&class);
    let text = parts.iter().find_map(|part| match part {
        Expr::Text(text) => Some(text),
        _ => None,
    });
    let is_plain_number = |text: &&String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.filter(is_plain_number) {
        Some(digits) if is(Class::Number) || is(Class::Year) => format!(": write {digits} without quotes"),
        _ if is(Class::Date) => ": write dates as '2026-01-31' or '2026-01-31 23:59:59'".into(),
        _ if is(Class::Time) => ": write times as '23:59:59'".into(),
        _ if is(Class::Year) => ": write years as numbers of four digits, from 1901 to 2155".into(),
        _ if is(Class::Number) && is(Class::Text) => ": write numbers without quotes, texts with them".into(),
        _ if is(Class::Enum) => ": write its name as a text".into(),
        _ if is(Class::JsonText) => ": write the value as a text".into(),
        _ => String::new(),
    }
}

fn call(name: &str, arguments: &[Expr], columns: &[Class]) -> Result<Class, String> {
    let function = FUNCTIONS.iter().find(|function| function.name == name);
    let function = function.ok_or_else(|| format!("unknown function {name}"))?;
    let (least, most) = function.arguments;
    if !(least..=most).contains(&arguments.len()) {
        return Err(format!(
            "{name} with {} arguments, where it takes {least} to {most}",
            arguments.len()
        ));
    }
    if CHOOSERS.contains(&name) {
        let values = match (name, arguments) {
            ("IF", [condition, values @ ..]) => check(condition, columns).map(|()| values)?,
            _ => arguments,
        };
        return values
            .iter()
            .try_fold(Class::Null, |common, value| joined(name, common, class(value, columns)?));
    }
    let mut common = Class::Null;
    for (at, argument) in arguments.iter().enumerate() {
        let found = class(argument, columns)?;
        let is_count = matches!(name, "LEFT" | "RIGHT" | "SUBSTRING") && at > 0;
        let wanted = if is_count { NUMBER } else { function.takes };
        let is_fit = match wanted {
            _ if found == Class::Null => true,
            TEXT => matches!(found, Class::Text | Class::Enum) || (name == "CRC32" && found == Class::Bytes),
            NUMBER => matches!(found, Class::Number | Class::Year),
            Some(wanted) => found == wanted,
            // Texts of two collations have none together: the server decides, or refuses.
            None => matches!(found, Class::Number | Class::Text) && (common == Class::Null || common == found),
        };
        if !is_fit {
            return Err(format!("{name} on {}{}", found.word(), note(name, found)));
        }
        if found != Class::Null && !is_count {
            common = found;
        }
    }
    Ok(function.gives.unwrap_or(common))
}

fn note(name: &str, found: Class) -> &'static str {
    match (name, found) {
        ("CRC32", Class::Number) => ": of numbers it takes whole columns alone, without ZEROFILL",
        _ => "",
    }
}
