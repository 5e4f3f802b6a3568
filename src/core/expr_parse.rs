//! The text of a row filter to its tree: the part of MySQL's expressions that a filter may use.
//!
//! Used by `config` for syntax, by `core::row_filter` for work. Precedence is MySQL's. What is outside of the part is refused with
//! the place: subqueries, variables, functions that are not in the list, and words that mean another thing under some sql_mode.

use crate::core::expr::{Arithmetic, Comparison, Exact, Expr};
use crate::core::expr_token::{Token, tokens};
use crate::core::json_path::JsonPath;

/// How deep brackets may nest, and how many operators may follow each other: bounds the stack. Guesses.
const DEPTH_MAX: usize = 64;
const CHAIN_MAX: usize = 256;

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} at character {at}, expected {expected}")]
pub struct ParseError {
    /// Where, counted from 1.
    pub at: usize,
    /// What stands there.
    pub found: String,
    /// What could stand there.
    pub expected: String,
}

/// A filter as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// The tree.
    pub expr: Expr,
    /// The columns it names, each once, as written.
    pub names: Vec<String>,
}

/// Reads a filter.
///
/// # Errors
/// Names the first thing that is not understood.
pub fn parse(text: &str) -> Result<Parsed, ParseError> {
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        chain: 0,
        names: Vec::new(),
        end: text.chars().count() + 1,
    };
    let expr = parser.or()?;
    match parser.tokens.get(parser.at) {
        None => Ok(Parsed {
            expr,
            names: parser.names,
        }),
        Some(_) => Err(parser.unexpected("AND, OR or the end")),
    }
}

pub(super) struct Parser {
    pub(super) tokens: Vec<(usize, Token)>,
    pub(super) at: usize,
    depth: usize,
    chain: usize,
    names: Vec<String>,
    end: usize,
}

pub(super) type Parse = Result<Expr, ParseError>;

impl Parser {
    pub(super) fn or(&mut self) -> Parse {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.unexpected(&format!("at most {DEPTH_MAX} levels")));
        }
        let mut parts = vec![self.xor()?];
        while self.word("OR") {
            parts.push(self.xor()?);
        }
        if self.is_next("||") {
            return Err(self.unexpected("OR, or CONCAT(…): `||` is either, by the sql_mode of whoever reads it"));
        }
        self.depth -= 1;
        Ok(one_or(parts, Expr::Or))
    }

    fn xor(&mut self) -> Parse {
        let mut left = self.and()?;
        while self.word("XOR") {
            self.link()?;
            left = Expr::Xor(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    /// One more operator on top of what was read.
    pub(super) fn link(&mut self) -> Result<(), ParseError> {
        self.chain += 1;
        if self.chain > CHAIN_MAX {
            return Err(self.unexpected(&format!("at most {CHAIN_MAX} operators beside AND and OR")));
        }
        Ok(())
    }

    fn and(&mut self) -> Parse {
        let mut parts = vec![self.not()?];
        while self.word("AND") || self.symbol("&&") {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Expr::And))
    }

    fn not(&mut self) -> Parse {
        let mut count = 0;
        while self.word("NOT") {
            count += 1;
        }
        let part = self.comparison()?;
        // Two of them still make a truth value of what may be a number.
        Ok(match count {
            0 => part,
            count if count % 2 == 1 => negated(part),
            _ => negated(negated(part)),
        })
    }

    /// Comparisons stand left to right, as in MySQL.
    fn comparison(&mut self) -> Parse {
        let mut left = self.predicate()?;
        loop {
            if self.word("IS") {
                let is_not = self.word("NOT");
                if !self.word("NULL") {
                    return Err(self.unexpected("NULL"));
                }
                self.link()?;
                left = maybe_not(is_not, Expr::IsNull(Box::new(left)));
                continue;
            }
            let Some(op) = self.comparison_operator() else {
                return Ok(left);
            };
            self.link()?;
            let right = self.predicate()?;
            left = Expr::Compare(op, Box::new(left), Box::new(right));
        }
    }

    fn comparison_operator(&mut self) -> Option<Comparison> {
        const OPERATORS: [(&str, Comparison); 8] = [
            ("<=>", Comparison::NullSafeEqual),
            ("<>", Comparison::NotEqual),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("=", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        OPERATORS
            .into_iter()
            .find(|(symbol, _)| self.symbol(symbol))
            .map(|(_, op)| op)
    }

    /// IN, BETWEEN and LIKE, each with NOT before it.
    fn predicate(&mut self) -> Parse {
        let left = self.sum()?;
        let is_not = self.word("NOT");
        if self.word("IN") {
            self.expect("(")?;
            let items = self.list()?;
            return Ok(maybe_not(is_not, Expr::In(Box::new(left), items)));
        }
        if self.word("BETWEEN") {
            let low = self.sum()?;
            if !self.word("AND") {
                return Err(self.unexpected("AND"));
            }
            let high = self.sum()?;
            return Ok(maybe_not(
                is_not,
                Expr::Between(Box::new(left), Box::new(low), Box::new(high)),
            ));
        }
        if self.word("LIKE") {
            let pattern = self.atom()?;
            return Ok(maybe_not(is_not, Expr::Like(Box::new(left), Box::new(pattern))));
        }
        if is_not {
            return Err(self.unexpected("IN, BETWEEN or LIKE"));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Parse {
        let mut left = self.product()?;
        loop {
            let op = if self.symbol("+") {
                Arithmetic::Add
            } else if self.symbol("-") {
                Arithmetic::Subtract
            } else {
                return Ok(left);
            };
            self.link()?;
            let right = self.product()?;
            left = Expr::Arithmetic(op, Box::new(left), Box::new(right));
        }
    }

    fn product(&mut self) -> Parse {
        let mut left = self.sign()?;
        loop {
            let op = if self.symbol("*") {
                Arithmetic::Multiply
            } else if self.symbol("/") {
                Arithmetic::Quotient
            } else if self.symbol("%") || self.word("MOD") {
                Arithmetic::Modulo
            } else if self.word("DIV") {
                Arithmetic::Divide
            } else {
                return Ok(left);
            };
            self.link()?;
            let right = self.sign()?;
            left = Expr::Arithmetic(op, Box::new(left), Box::new(right));
        }
    }

    fn sign(&mut self) -> Parse {
        let mut is_negative = false;
        while let Some(minus) = [("-", true), ("+", false)]
            .into_iter()
            .find(|(symbol, _)| self.symbol(symbol))
        {
            if is_negative && minus.1 {
                return Err(self.unexpected("a value"));
            }
            is_negative |= minus.1;
        }
        let part = self.atom()?;
        Ok(match (is_negative, part) {
            (false, part) => part,
            (true, Expr::Number(number)) if !number.is_unsigned => Expr::Number(Exact {
                mantissa: -number.mantissa,
                ..number
            }),
            (true, part) => Expr::Negative(Box::new(part)),
        })
    }

    fn atom(&mut self) -> Parse {
        let Some((_, token)) = self.tokens.get(self.at).cloned() else {
            return Err(self.unexpected("a value"));
        };
        self.at += 1;
        match token {
            Token::Number(number) => Ok(Expr::Number(number)),
            Token::Double(text) => Ok(Expr::Double(text)),
            Token::Text(text) => Ok(Expr::Text(text)),
            Token::Bytes(bytes) => Ok(Expr::Bytes(bytes)),
            Token::Quoted(name) => self.column_value(name),
            Token::Symbol("(") => {
                let inner = self.or()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Word(word) => self.named(&word),
            Token::Symbol(_) => {
                self.at -= 1;
                Err(self.unexpected("a value"))
            }
        }
    }

    /// A column, or what stands at a path of the document in it.
    pub(super) fn column_value(&mut self, name: String) -> Parse {
        let column = self.column(name);
        if self.is_next("->") {
            return Err(self.unexpected("`->>`, which gives a text"));
        }
        if !self.symbol("->>") {
            return Ok(column);
        }
        let path = match self.tokens.get(self.at) {
            Some((_, Token::Text(text))) => JsonPath::parse(text),
            _ => None,
        };
        let path = path.ok_or_else(|| self.unexpected("a path of names and numbers, such as '$.a.\"b c\"[0]'"))?;
        self.at += 1;
        Ok(Expr::Json(Box::new(column), path))
    }

    /// Values up to the closing bracket; at least one.
    pub(super) fn list(&mut self) -> Result<Vec<Expr>, ParseError> {
        let mut items = vec![self.or()?];
        while self.symbol(",") {
            items.push(self.or()?);
        }
        self.expect(")")?;
        Ok(items)
    }

    fn column(&mut self, name: String) -> Expr {
        let known = self
            .names
            .iter()
            .position(|other| other.to_lowercase() == name.to_lowercase());
        Expr::Column(known.unwrap_or_else(|| {
            self.names.push(name);
            self.names.len() - 1
        }))
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.tokens.get(self.at), Some((_, Token::Word(found))) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(is_next);
        is_next
    }

    pub(super) fn is_next(&self, symbol: &str) -> bool {
        matches!(self.tokens.get(self.at), Some((_, Token::Symbol(found))) if *found == symbol)
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let is_next = self.is_next(symbol);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ParseError> {
        if self.symbol(symbol) {
            return Ok(());
        }
        Err(self.unexpected(&format!("`{symbol}`")))
    }

    pub(super) fn unexpected(&self, expected: &str) -> ParseError {
        let found = self.tokens.get(self.at);
        ParseError {
            at: found.map_or(self.end, |(at, _)| *at),
            found: found.map_or_else(|| "the end".to_owned(), |(_, token)| token.to_string()),
            expected: expected.to_owned(),
        }
    }
}

fn one_or(mut parts: Vec<Expr>, many: impl Fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}

fn negated(part: Expr) -> Expr {
    Expr::Not(Box::new(part))
}

fn maybe_not(is_not: bool, part: Expr) -> Expr {
    if is_not { negated(part) } else { part }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::expr::name_sql;

    fn sql(text: &str) -> Result<String, String> {
        let parsed = parse(text).map_err(|error| error.to_string())?;
        let names: Vec<String> = parsed.names.iter().map(|name| name_sql(name)).collect();
        Ok(parsed.expr.sql(&names))
    }

    #[test]
    fn precedence_is_that_of_the_server() {
        for (text, expected) in [
            (
                "a = 1 OR b = 2 AND NOT c = 3",
                "((`a` = 1) OR ((`b` = 2) AND (NOT (`c` = 3))))",
            ),
            ("a + 1 * 2 - 3 < -b % 2", "(((`a` + (1 * 2)) - 3) < ((-`b`) % 2))"),
            ("NOT a BETWEEN 1 AND 2 AND b", "((NOT (`a` BETWEEN 1 AND 2)) AND `b`)"),
            (
                "A is not null and a in (1,-2.50,NULL)",
                "((NOT (`A` IS NULL)) AND (`A` IN (1, -2.50, NULL)))",
            ),
            ("`x y` not like 'a''b\\_%'", "(NOT (`x y` LIKE _utf8mb4 x'6127625c5f25'))"),
            ("COALESCE(a, 0) <=> x'0A'", "(COALESCE(`a`, 0) <=> x'0a')"),
            ("true && 1e3 != .5", "(1 AND (1e3 <> 0.5))"),
            ("a OR b XOR c AND d", "(`a` OR (`b` XOR (`c` AND `d`)))"),
            ("a / 2 * b = 1", "(((`a` / 2) * `b`) = 1)"),
            (
                "case when a > 1 then 2 when b then c end = 2 AND Case a When 1 Then 0 Else b End",
                "(((CASE WHEN (`a` > 1) THEN 2 WHEN `b` THEN `c` END) = 2) AND (CASE `a` WHEN 1 THEN 0 ELSE `b` END))",
            ),
            (
                "IF(a, 1, 0) < day(b) and ceil(c) = substr(d, 2)",
                "((IF(`a`, 1, 0) < DAYOFMONTH(`b`)) AND (CEILING(`c`) = SUBSTRING(`d`, 2)))",
            ),
            (
                "j->>'$.a' is null",
                "(JSON_UNQUOTE(JSON_EXTRACT(`j`, _utf8mb4 x'242e61')) IS NULL)",
            ),
        ] {
            assert_eq!(sql(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_outside_of_the_part_is_refused_with_its_place() {
        for (text, at) in [
            ("", 1),
            ("id <", 5),
            ("id < 10)", 8),
            ("a = NOW()", 5),
            ("a = @x", 5),
            ("a || b", 3),
            ("j->'$.a' = 1", 2),
            ("j->>'$.a*' = '1'", 5),
            ("j->>a = '1'", 5),
            ("CASE a END", 8),
            ("CASE WHEN a THEN b", 19),
            ("CASE WHEN a ELSE b END", 13),
            ("t = DATE '2026-01-31'", 5),
            ("id IN (SELECT 1)", 8),
            ("a = 1; DROP TABLE t", 6),
            ("a = 'open", 5),
            ("a -- b", 3),
            ("a /* b */ = 1", 3),
            ("a IS TRUE", 6),
            ("a NOT b", 7),
            ("a = 99999999999999999999999999999999999999", 5),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.at, at, "{text}: {error}");
        }
        assert!(parse(&"(".repeat(10_000)).is_err());
        assert!(parse(&format!("{}a", "-".repeat(10_000))).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9 ()'`\"\\\\=<>.,+*%x-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
