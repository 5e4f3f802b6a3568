//! Bare words where a value of a row filter may stand: constants, functions, CASE, columns.
//!
//! The part of `core::expr_parse` that knows names. A function that MySQL has under two names is one here, so that the canonical SQL is one.

use crate::core::expr::{Exact, Expr};
use crate::core::expr_check::FUNCTIONS;
use crate::core::expr_parse::{Parse, Parser};
use crate::core::expr_token::Token;

/// Other names of functions, each with the one in `FUNCTIONS`.
const SYNONYMS: [(&str, &str); 7] = [
    ("CEIL", "CEILING"),
    ("SUBSTR", "SUBSTRING"),
    ("DAY", "DAYOFMONTH"),
    ("LCASE", "LOWER"),
    ("UCASE", "UPPER"),
    ("CHARACTER_LENGTH", "CHAR_LENGTH"),
    ("OCTET_LENGTH", "LENGTH"),
];

/// Words that are no column without backquotes; of those that could stand where a value stands.
const RESERVED: [&str; 24] = [
    "AND",
    "OR",
    "NOT",
    "XOR",
    "IN",
    "IS",
    "LIKE",
    "BETWEEN",
    "DIV",
    "MOD",
    "SELECT",
    "EXISTS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "INTERVAL",
    "BINARY",
    "COLLATE",
    "REGEXP",
    "RLIKE",
    "DISTINCT",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
];

impl Parser {
    /// A bare word that was just taken.
    pub(super) fn named(&mut self, word: &str) -> Parse {
        let upper = word.to_ascii_uppercase();
        let truth = |value| {
            Expr::Number(Exact {
                mantissa: value,
                scale: 0,
                is_unsigned: false,
            })
        };
        let next = self.tokens.get(self.at).map(|(_, token)| token);
        let (is_call, is_before_text) = (next == Some(&Token::Symbol("(")), matches!(next, Some(Token::Text(_))));
        let synonym = SYNONYMS.iter().find(|(other, _)| *other == upper);
        let name = synonym.map_or(upper.as_str(), |(_, name)| name);
        match upper.as_str() {
            "NULL" => Ok(Expr::Null),
            "TRUE" => Ok(truth(1)),
            "FALSE" => Ok(truth(0)),
            "CASE" => self.case(),
            _ if is_call && FUNCTIONS.iter().any(|function| function.name == name) => {
                self.at += 1;
                let arguments = self.list()?;
                Ok(Expr::Call(name.to_owned(), arguments))
            }
            "DATE" | "TIME" | "TIMESTAMP" if is_before_text => {
                self.at -= 1;
                Err(self.unexpected("the text alone, such as '2026-01-31 23:59:59'"))
            }
            _ if is_call || RESERVED.contains(&upper.as_str()) => {
                self.at -= 1;
                Err(self.unexpected("a column, a value, or a function whose result depends on the row alone"))
            }
            _ => self.column_value(word.to_owned()),
        }
    }

    /// Behind CASE.
    fn case(&mut self) -> Parse {
        let is_next_when = matches!(self.tokens.get(self.at), Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("WHEN"));
        let subject = if is_next_when { None } else { Some(Box::new(self.or()?)) };
        let mut arms = Vec::new();
        while self.word("WHEN") {
            self.link()?;
            let when = self.or()?;
            if !self.word("THEN") {
                return Err(self.unexpected("THEN"));
            }
            arms.push((when, self.or()?));
        }
        if arms.is_empty() {
            return Err(self.unexpected("WHEN"));
        }
        let otherwise = if self.word("ELSE") { Some(Box::new(self.or()?)) } else { None };
        if !self.word("END") {
            return Err(self.unexpected(if otherwise.is_some() { "END" } else { "WHEN, ELSE or END" }));
        }
        Ok(Expr::Case {
            subject,
            arms,
            otherwise,
        })
    }
}
