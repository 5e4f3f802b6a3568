//! The types of a row filter: which columns it names, and whether its comparisons mean the same everywhere.
//!
//! Used by `core::row_filter` once the table is known. What MySQL would convert silently (a text against a number) is refused: the
//! result would depend on more than the row.

use crate::core::expr::Expr;
use crate::core::expr_temporal::parse_date_time;
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
    /// ENUM: its label.
    Enum,
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
            K::Enum { .. } => Self::Enum,
            // A YEAR against a number is one thing as a column and another as a value: the server has rules for two digits.
            K::Json | K::Geometry | K::Vector | K::Set { .. } | K::Year => Self::Opaque,
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
            Self::Enum => "an ENUM",
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

/// All of them. LEFT, RIGHT and SUBSTRING take numbers behind the text.
pub const FUNCTIONS: [Function; 33] = [
    function("ABS", (1, 1), NUMBER, NUMBER),
    function("CEILING", (1, 1), NUMBER, NUMBER),
    function("FLOOR", (1, 1), NUMBER, NUMBER),
    function("MOD", (2, 2), NUMBER, NUMBER),
    function("ROUND", (1, 2), NUMBER, NUMBER),
    function("SIGN", (1, 1), NUMBER, NUMBER),
    function("COALESCE", (1, 20), None, None),
    function("IFNULL", (2, 2), None, None),
    function("NULLIF", (2, 2), None, None),
    function("GREATEST", (2, 20), None, None),
    function("LEAST", (2, 20), None, None),
    function("CHAR_LENGTH", (1, 1), TEXT, NUMBER),
    function("LENGTH", (1, 1), TEXT, NUMBER),
    function("CRC32", (1, 1), TEXT, NUMBER),
    function("INSTR", (2, 2), TEXT, NUMBER),
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
];

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
        Expr::Like(part, pattern) => {
            let found = class(part, columns)?;
            match (found, &**pattern) {
                (Class::Text | Class::Enum | Class::Null, Expr::Text(_)) => Ok(Class::Number),
                (Class::Text | Class::Enum | Class::Null, _) => Err("LIKE without a text behind it".into()),
                _ => Err(format!("LIKE on {}", found.word())),
            }
        }
        Expr::Arithmetic(op, a, b) => number(a, op.sql(), columns).and_then(|_| number(b, op.sql(), columns)),
        Expr::Negative(part) => number(part, "-", columns),
        Expr::Call(name, arguments) => call(name, arguments, columns),
    }
}

fn number(part: &Expr, operator: &str, columns: &[Class]) -> Result<Class, String> {
    match class(part, columns)? {
        Class::Number | Class::Null => Ok(Class::Number),
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
        let is_fit = match (left, right) {
            (Class::Opaque, _) | (_, Class::Opaque) => false,
            (Class::Null, _) | (_, Class::Null) => true,
            (Class::Date, Class::Text) => is_date(other),
            (Class::Text, Class::Date) => is_date(first),
            (Class::Time | Class::Enum, Class::Text) => is_text(other),
            (Class::Text, Class::Time | Class::Enum) => is_text(first),
            (Class::Bytes, Class::Text) => is_text(other),
            (Class::Text, Class::Bytes) => is_text(first),
            (Class::Enum, Class::Enum) => false,
            (left, right) => left == right,
        };
        if !is_fit {
            let hint = match (left, right) {
                (Class::Number, Class::Text) | (Class::Text, Class::Number) => ": write numbers without quotes, texts with them",
                (Class::Date, _) | (_, Class::Date) => ": write dates as '2026-01-31' or '2026-01-31 23:59:59'",
                _ => "",
            };
            return Err(format!("a comparison of {} with {}{hint}", left.word(), right.word()));
        }
    }
    Ok(Class::Number)
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
    let mut common = Class::Null;
    for (at, argument) in arguments.iter().enumerate() {
        let found = class(argument, columns)?;
        let is_count = matches!(name, "LEFT" | "RIGHT" | "SUBSTRING") && at > 0;
        let wanted = if is_count { NUMBER } else { function.takes };
        let is_fit = match wanted {
            _ if found == Class::Null => true,
            Some(wanted) => found == wanted,
            // Texts of two collations have none together: the server decides, or refuses.
            None => matches!(found, Class::Number | Class::Text) && (common == Class::Null || common == found),
        };
        if !is_fit {
            return Err(format!("{name} on {}", found.word()));
        }
        if found != Class::Null && !is_count {
            common = found;
        }
    }
    Ok(function.gives.unwrap_or(common))
}
