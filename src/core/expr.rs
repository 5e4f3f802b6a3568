//! A row filter as a tree, and its canonical SQL.
//!
//! Made by `core::expr_parse`, typed by `core::expr_check`, evaluated by `core::expr_eval`. The SQL is what the source server gets:
//! every part in brackets, names quoted, texts as hex under their own character set, so that no setting of a session reads it
//! in another way.

use std::fmt::Write as _;

use crate::core::json_path::JsonPath;

/// An exact number: mantissa × 10^-scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    /// All digits.
    pub mantissa: i128,
    /// Digits after the point.
    pub scale: u8,
    /// An integer that the server holds as BIGINT UNSIGNED.
    pub is_unsigned: bool,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<=>`
    NullSafeEqual,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// A calculation with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Quotient,
    /// `DIV`
    Divide,
    /// `%`, `MOD`
    Modulo,
}

/// A filter or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// Number into the list of column names.
    Column(usize),
    /// `NULL`.
    Null,
    /// `1`, `1.50`, `TRUE`.
    Number(Exact),
    /// `1e3`, as it was written.
    Double(String),
    /// `'a'`.
    Text(String),
    /// `x'ff'`.
    Bytes(Vec<u8>),
    /// All of them.
    And(Vec<Expr>),
    /// Any of them.
    Or(Vec<Expr>),
    /// One of them.
    Xor(Box<Expr>, Box<Expr>),
    /// Not.
    Not(Box<Expr>),
    /// Two values against each other.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// `IS NULL`.
    IsNull(Box<Expr>),
    /// `IN (…)`.
    In(Box<Expr>, Vec<Expr>),
    /// `BETWEEN … AND …`.
    Between(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `LIKE '…'`.
    Like(Box<Expr>, Box<Expr>),
    /// Two numbers.
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// `-x`.
    Negative(Box<Expr>),
    /// A function of `core::expr_check::FUNCTIONS`, in upper case.
    Call(String, Vec<Expr>),
    /// `column->>'$.path'`; `core::row_filter` makes a column of it.
    Json(Box<Expr>, JsonPath),
    /// `CASE … END`.
    Case {
        /// What the arms are compared with; None: each is a condition.
        subject: Option<Box<Expr>>,
        /// WHEN and THEN.
        arms: Vec<(Expr, Expr)>,
        /// ELSE.
        otherwise: Option<Box<Expr>>,
    },
}

impl Comparison {
    /// As SQL.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NullSafeEqual => "<=>",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl Arithmetic {
    /// As SQL.
    #[must_use]
    pub fn sql(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Quotient => "/",
            Self::Divide => "DIV",
            Self::Modulo => "%",
        }
    }
}

impl Expr {
    /// Canonical SQL; `names` are the columns as SQL.
    #[must_use]
    pub fn sql(&self, names: &[String]) -> String {
        let list = |items: &[Self]| items.iter().map(|item| item.sql(names)).collect::<Vec<_>>();
        match self {
            Self::Column(at) => names[*at].clone(),
            Self::Null => "NULL".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Double(text) => text.clone(),
            Self::Text(text) => text_sql(text),
            Self::Bytes(bytes) => hex(bytes),
            Self::And(parts) => format!("({})", list(parts).join(" AND ")),
            Self::Or(parts) => format!("({})", list(parts).join(" OR ")),
            Self::Not(part) => format!("(NOT {})", part.sql(names)),
            Self::Compare(op, a, b) => format!("({} {} {})", a.sql(names), op.sql(), b.sql(names)),
            Self::IsNull(part) => format!("({} IS NULL)", part.sql(names)),
            Self::In(part, items) => format!("({} IN ({}))", part.sql(names), list(items).join(", ")),
            Self::Between(part, low, high) => {
                format!("({} BETWEEN {} AND {})", part.sql(names), low.sql(names), high.sql(names))
            }
            Self::Like(part, pattern) => format!("({} LIKE {})", part.sql(names), pattern.sql(names)),
            Self::Arithmetic(op, a, b) => format!("({} {} {})", a.sql(names), op.sql(), b.sql(names)),
            Self::Negative(part) => format!("(-{})", part.sql(names)),
            Self::Xor(a, b) => format!("({} XOR {})", a.sql(names), b.sql(names)),
            Self::Call(name, arguments) => format!("{name}({})", list(arguments).join(", ")),
            Self::Json(column, path) => format!("JSON_UNQUOTE(JSON_EXTRACT({}, {}))", column.sql(names), text_sql(path.text())),
            Self::Case {
                subject,
                arms,
                otherwise,
            } => {
                let mut text = String::from("(CASE");
                let mut push = |word: &str, part: &Self| {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{word} {}", part.sql(names));
                };
                subject.iter().for_each(|subject| push("", subject));
                for (when, then) in arms {
                    push(" WHEN", when);
                    push(" THEN", then);
                }
                otherwise.iter().for_each(|otherwise| push(" ELSE", otherwise));
                text + " END)"
            }
        }
    }

    /// What it is made of, one level down.
    pub fn parts_mut(&mut self) -> Vec<&mut Self> {
        match self {
            Self::Column(_) | Self::Null | Self::Number(_) | Self::Double(_) | Self::Text(_) | Self::Bytes(_) => Vec::new(),
            Self::And(parts) | Self::Or(parts) | Self::Call(_, parts) => parts.iter_mut().collect(),
            Self::Not(part) | Self::IsNull(part) | Self::Negative(part) | Self::Json(part, _) => vec![part],
            Self::Xor(a, b) | Self::Compare(_, a, b) | Self::Like(a, b) | Self::Arithmetic(_, a, b) => vec![a, b],
            Self::Between(part, low, high) => vec![part, low, high],
            Self::In(part, items) => std::iter::once(&mut **part).chain(items).collect(),
            Self::Case {
                subject,
                arms,
                otherwise,
            } => {
                let arms = arms.iter_mut().flat_map(|(when, then)| [when, then]);
                subject
                    .as_deref_mut()
                    .into_iter()
                    .chain(arms)
                    .chain(otherwise.as_deref_mut())
                    .collect()
            }
        }
    }
}

/// A text under its own character set.
pub(super) fn text_sql(text: &str) -> String {
    format!("_utf8mb4 {}", hex(text.as_bytes()))
}

/// A name in quotes.
pub(super) fn name_sql(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

impl std::fmt::Display for Exact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.mantissa.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let point = if scale == 0 { "" } else { "." };
        write!(f, "{sign}{whole}{point}{fraction}")
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::from("x'");
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\'');
    text
}
