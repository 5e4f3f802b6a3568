//! The words of a row filter: names, numbers, texts and signs.
//!
//! Used by `core::expr_parse`. Texts are read as MySQL reads them under an empty sql_mode: both quotes, doubled quotes and
//! backslashes. Comments are refused: they end in other places on other servers.

use std::fmt;

use crate::core::expr::Exact;
use crate::core::expr_parse::ParseError;

/// Most digits of an exact number: what fits 128 bits with room to calculate.
const DIGITS_MAX: usize = 36;

/// A piece of a filter.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A bare word.
    Word(String),
    /// A name in backquotes.
    Quoted(String),
    /// An exact number.
    Number(Exact),
    /// A number with an exponent.
    Double(String),
    /// A text in quotes.
    Text(String),
    /// `x'…'`.
    Bytes(Vec<u8>),
    /// An operator or bracket.
    Symbol(&'static str),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Quoted(name) => write!(f, "the name `{name}`"),
            Self::Number(number) => write!(f, "the number {number}"),
            Self::Double(text) => write!(f, "the number {text}"),
            Self::Text(_) | Self::Bytes(_) => f.write_str("a text"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
        }
    }
}

/// Longer ones first.
const SYMBOLS: [&str; 20] = [
    "<=>", "->>", "<=", ">=", "<>", "!=", "&&", "||", "->", "=", "<", ">", "(", ")", ",", "+", "-", "*", "/", "%",
];

/// The pieces with the place of each, in characters from 1.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ParseError> {
    let characters: Vec<char> = text.chars().collect();
    let mut reader = Reader { characters, at: 0 };
    let mut tokens = Vec::new();
    loop {
        while reader.peek().is_some_and(char::is_whitespace) {
            reader.at += 1;
        }
        let begin = reader.at + 1;
        let Some(first) = reader.peek() else {
            return Ok(tokens);
        };
        tokens.push((begin, reader.token(first)?));
    }
}

struct Reader {
    characters: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn after(&self) -> Option<char> {
        self.characters.get(self.at + 1).copied()
    }

    fn token(&mut self, first: char) -> Result<Token, ParseError> {
        match first {
            'x' | 'X' if self.after() == Some('\'') => self.bytes(),
            '\'' | '"' => self.text(first).map(Token::Text),
            '`' => self.text(first).map(Token::Quoted),
            '0'..='9' => self.number(),
            '.' if self.after().is_some_and(|c| c.is_ascii_digit()) => self.number(),
            _ if is_name(first) => Ok(Token::Word(self.run(is_name))),
            _ => self.sign(first),
        }
    }

    fn sign(&mut self, first: char) -> Result<Token, ParseError> {
        let rest: String = self.characters[self.at..].iter().take(3).collect();
        let is_line = rest.starts_with("--") && rest.chars().nth(2).is_none_or(char::is_whitespace);
        let is_comment = is_line || rest.starts_with("/*");
        let found = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
        match found {
            Some(symbol) if !is_comment => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            _ => Err(self.error(self.at, format!("`{first}`"), "a column, a value or an operator")),
        }
    }

    fn run(&mut self, is_part: impl Fn(char) -> bool) -> String {
        let mut text = String::new();
        while let Some(next) = self.peek().filter(|c| is_part(*c)) {
            text.push(next);
            self.at += 1;
        }
        text
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let begin = self.at;
        let whole = self.run(|c| c.is_ascii_digit());
        let mut fraction = String::new();
        if self.peek() == Some('.') {
            self.at += 1;
            fraction = self.run(|c| c.is_ascii_digit());
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            let sign = if matches!(self.peek(), Some('-' | '+')) {
                self.at += 1;
                self.characters[self.at - 1].to_string()
            } else {
                String::new()
            };
            let exponent = self.run(|c| c.is_ascii_digit());
            let whole = if whole.is_empty() { "0" } else { &whole };
            let point = if fraction.is_empty() { "" } else { "." };
            let text = format!("{whole}{point}{fraction}e{sign}{exponent}");
            let is_finite = text.parse::<f64>().is_ok_and(f64::is_finite);
            if exponent.is_empty() || !is_finite {
                return Err(self.error(begin, format!("`{text}`"), "a number"));
            }
            return Ok(Token::Double(text));
        }
        let digits = format!("{whole}{fraction}");
        let is_glued = self.peek().is_some_and(is_name);
        match digits.parse::<i128>() {
            Ok(mantissa) if digits.trim_start_matches('0').len() <= DIGITS_MAX && fraction.len() <= 30 && !is_glued => {
                Ok(Token::Number(Exact {
                    mantissa,
                    scale: u8::try_from(fraction.len()).expect("at most 30"),
                    is_unsigned: fraction.is_empty() && mantissa > i128::from(i64::MAX),
                }))
            }
            _ => Err(self.error(begin, format!("`{digits}`"), "a number of at most 36 digits")),
        }
    }

    fn bytes(&mut self) -> Result<Token, ParseError> {
        let begin = self.at;
        self.at += 1;
        let digits = self.text('\'')?;
        let pairs = digits.as_bytes().chunks(2);
        let bytes = pairs.map(|pair| {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.len() == 2 && !pair.starts_with('+'))?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes = bytes.collect::<Option<Vec<u8>>>();
        bytes
            .map(Token::Bytes)
            .ok_or_else(|| self.error(begin, "a text".into(), "pairs of hexadecimal digits"))
    }

    /// Up to the closing quote. A backslash means something in texts, not in names.
    fn text(&mut self, quote: char) -> Result<String, ParseError> {
        let begin = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(next) = self.peek() else {
                return Err(self.error(begin, "an open quote".into(), &format!("a closing {quote}")));
            };
            self.at += 1;
            match next {
                _ if next == quote && self.peek() == Some(quote) => {
                    text.push(quote);
                    self.at += 1;
                }
                _ if next == quote => return Ok(text),
                '\\' if quote != '`' => {
                    let escaped = self.peek();
                    self.at += 1;
                    match escaped {
                        Some('0') => text.push('\0'),
                        Some('b') => text.push('\u{8}'),
                        Some('n') => text.push('\n'),
                        Some('r') => text.push('\r'),
                        Some('t') => text.push('\t'),
                        Some('Z') => text.push('\u{1a}'),
                        // Only LIKE gives these a meaning, and needs the backslash for it.
                        Some(wild @ ('%' | '_')) => text.extend(['\\', wild]),
                        Some(other) => text.push(other),
                        None => {}
                    }
                }
                _ => text.push(next),
            }
        }
    }

    fn error(&self, at: usize, found: String, expected: &str) -> ParseError {
        ParseError {
            at: at + 1,
            found,
            expected: expected.to_owned(),
        }
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}
