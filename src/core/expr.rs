//! A row filter as a tree, and its canonical SQL.
//!
//! Made by `core::expr_parse`, typed by `core::expr_check`, evaluated by `core::expr_eval`. The SQL is what the source server gets:
//! every part in brackets, names quoted, texts as hex under their own character set, so that no setting of a session reads it
//! in another way.

use std::fmt::Write as _;

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
            Self::Divide => "DIV",
            Self::Modulo => "%",
        }
    }
}

impl Expr {
    /// Canonical SQL; `names` are those of the columns, without quotes.
    #[must_use]
    pub fn sql(&self, names: &[String]) -> String {
        let mut text = String::new();
        self.write(names, &mut text);
        text
    }

    fn write(&self, names: &[String], out: &mut String) {
        let list = |items: &[Self]| items.iter().map(|item| item.sql(names)).collect::<Vec<_>>();
        let text = match self {
            Self::Column(at) => format!("`{}`", names[*at].replace('`', "``")),
            Self::Null => "NULL".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Double(text) => text.clone(),
            Self::Text(text) => format!("_utf8mb4 {}", hex(text.as_bytes())),
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
            Self::Call(name, arguments) => format!("{name}({})", list(arguments).join(", ")),
        };
        out.push_str(&text);
    }
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
