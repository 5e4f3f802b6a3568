//! What a row filter takes from a row: a column, or something that is made of one.
//!
//! Used by `core::row_filter`. A value within a JSON document, a member of a SET and the digits of a number are taken here, exactly as the
//! server does, and are columns to all that follows: it is never asked about them.

use std::borrow::Cow;

use crate::core::expr::{Exact, Expr, name_sql, text_sql};
use crate::core::expr_check::Class;
use crate::core::expr_eval::Val;
use crate::core::expr_form::Form;
use crate::core::expr_temporal::{moment, time_micros, timestamp};
use crate::core::expr_text::Collation;
use crate::core::json_path::JsonPath;
use crate::core::shape::{Column, ColumnKind, TableShape};
use crate::core::value::Value;

/// One input.
#[derive(Clone, Debug)]
pub(super) struct Input {
    /// Ordinal of its column.
    pub at: usize,
    /// Name of its column.
    pub name: String,
    kind: ColumnKind,
    take: Take,
    /// What the server is given in its place.
    pub constant: Column,
    collation: Collation,
    is_utf8: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Take {
    Whole,
    /// `FIND_IN_SET(member, set)`: the number of the member from 1, when it is in the set.
    Member(String, u8),
    /// `->>`.
    Json(JsonPath),
    /// A whole number as text.
    Digits,
}

/// The inputs of a filter while it is bound.
pub(super) struct Inputs<'a> {
    names: Vec<usize>,
    shape: &'a TableShape,
    /// Those that are used.
    pub all: Vec<Input>,
}

impl<'a> Inputs<'a> {
    /// Of a filter that names these columns.
    ///
    /// # Errors
    /// The table has no such column.
    pub fn of(names: &[String], shape: &'a TableShape) -> Result<Self, String> {
        let find = |name: &String| {
            let same = |column: &Column| column.name.to_lowercase() == name.to_lowercase();
            shape
                .columns
                .iter()
                .position(same)
                .ok_or_else(|| format!("no column `{name}`"))
        };
        Ok(Self {
            names: names.iter().map(find).collect::<Result<_, String>>()?,
            shape,
            all: Vec::new(),
        })
    }

    /// Makes `Expr::Column` an index into `all`, and one of what is taken from a column.
    ///
    /// # Errors
    /// Says what a column does not have.
    pub fn bind(&mut self, expr: &mut Expr) -> Result<(), String> {
        let found = match expr {
            Expr::Column(at) => Some((self.names[*at], Take::Whole)),
            Expr::Json(column, path) => match **column {
                Expr::Column(at) if self.column(at).kind == ColumnKind::Json => Some((self.names[at], Take::Json(path.clone()))),
                _ => None,
            },
            Expr::Call(name, arguments) => match (name.as_str(), &mut arguments[..]) {
                ("FIND_IN_SET", [text, Expr::Column(at)]) => self.member(text, *at)?,
                ("CRC32", [argument]) => {
                    if let Some(at) = self.number_to_sum(argument) {
                        *argument = self.input(at, Take::Digits);
                        return Ok(());
                    }
                    None
                }
                _ => None,
            },
            _ => None,
        };
        match found {
            Some((at, take)) => *expr = self.input(at, take),
            None => expr.parts_mut().into_iter().try_for_each(|part| self.bind(part))?,
        }
        Ok(())
    }

    fn column(&self, name: usize) -> &'a Column {
        &self.shape.columns[self.names[name]]
    }

    /// In a SET the server looks for the member's number once, whatever the collation says of it.
    fn member(&self, text: &Expr, name: usize) -> Result<Option<(usize, Take)>, String> {
        let column = self.column(name);
        let ColumnKind::Set { members } = &column.kind else {
            return Ok(None);
        };
        let wanted = match text {
            Expr::Text(text) if text.is_ascii() && (is_utf8(column) || column.charset.as_deref() == Some("latin1")) => text,
            _ => {
                return Err(format!(
                    "FIND_IN_SET of what is no text of ASCII in the SET `{}`",
                    column.name
                ));
            }
        };
        let found = members.iter().position(|member| member.eq_ignore_ascii_case(wanted));
        let number = found.and_then(|at| u8::try_from(at + 1).ok()).ok_or_else(|| {
            let members = members.join("', '");
            format!(
                "FIND_IN_SET of '{wanted}' in the SET `{}`: write one of '{members}'",
                column.name
            )
        })?;
        Ok(Some((self.names[name], Take::Member(wanted.clone(), number))))
    }

    /// A column whose digits CRC32 takes.
    fn number_to_sum(&self, argument: &Expr) -> Option<usize> {
        let Expr::Column(name) = argument else { return None };
        let column = self.column(*name);
        let is_plain = matches!(column.kind, ColumnKind::Int { .. }) && !is_zero_filled(&column.name, &self.shape.create_sql);
        is_plain.then(|| self.names[*name])
    }

    fn input(&mut self, at: usize, take: Take) -> Expr {
        let known = self.all.iter().position(|input| input.at == at && input.take == take);
        Expr::Column(known.unwrap_or_else(|| {
            let column = &self.shape.columns[at];
            self.all.push(Input::of(at, column, take, self.all.len()));
            self.all.len() - 1
        }))
    }
}

fn is_utf8(column: &Column) -> bool {
    matches!(column.charset.as_deref(), Some("utf8mb4" | "utf8mb3" | "utf8" | "ascii"))
}

/// `id` int(5) unsigned zerofill: the server writes it with zeros before it.
fn is_zero_filled(name: &str, create_sql: &str) -> bool {
    let begin = format!("  {} ", name_sql(name));
    let line = create_sql.lines().find_map(|line| line.strip_prefix(&begin));
    line.is_some_and(|line| {
        line.split([' ', ','])
            .take(3)
            .any(|word| word.eq_ignore_ascii_case("zerofill"))
    })
}

impl Input {
    fn of(at: usize, column: &Column, take: Take, number: usize) -> Self {
        let text = |collation: &str| (Some("utf8mb4".to_owned()), Some(collation.to_owned()));
        let (kind, (charset, collation)) = match &take {
            Take::Whole => (column.kind.clone(), (column.charset.clone(), column.collation.clone())),
            Take::Member(..) => (
                ColumnKind::Int {
                    bytes: 8,
                    unsigned: false,
                },
                (None, None),
            ),
            Take::Json(_) | Take::Digits => (ColumnKind::Text { length_bytes: 4 }, text("utf8mb4_bin")),
        };
        let constant = Column {
            name: format!("c{number}"),
            kind,
            is_nullable: true,
            is_generated: false,
            charset,
            collation,
        };
        Self {
            at,
            name: column.name.clone(),
            kind: column.kind.clone(),
            take,
            collation: constant.collation.as_deref().map_or(Collation::Bytes, Collation::named),
            is_utf8: is_utf8(&constant),
            constant,
        }
    }

    /// As SQL over the table's columns.
    pub fn sql(&self) -> String {
        let name = name_sql(&self.name);
        match &self.take {
            Take::Whole | Take::Digits => name,
            Take::Member(text, _) => format!("FIND_IN_SET({}, {name})", text_sql(text)),
            Take::Json(path) => format!("JSON_UNQUOTE(JSON_EXTRACT({name}, {}))", text_sql(path.text())),
        }
    }

    /// What may be done with it.
    pub fn class(&self) -> Class {
        match self.take {
            Take::Json(_) => Class::JsonText,
            _ => Class::of(&self.constant.kind),
        }
    }

    /// What is known of it for every row.
    pub fn form(&self) -> Form {
        use ColumnKind as K;
        match &self.constant.kind {
            K::Int { unsigned: false, .. } => Form::Integer,
            K::Int { .. } | K::Decimal { .. } | K::Float | K::Double | K::Bit { .. } | K::Year => Form::Number,
            K::Date | K::DateTime { .. } | K::Timestamp { .. } => Form::Date,
            K::Time { .. } => Form::Time,
            K::Char { .. } | K::VarChar { .. } | K::Text { .. } | K::Enum { .. } | K::Set { .. } => {
                Form::Text(self.collation, self.is_utf8)
            }
            K::Binary { .. } | K::VarBinary { .. } | K::Blob { .. } | K::Json | K::Geometry | K::Vector => Form::Other,
        }
    }

    /// Canonical bytes of `constant`; those of a column that cannot be read are for the server to refuse.
    pub fn constant(&self, raw: Option<&[u8]>) -> Option<Vec<u8>> {
        let raw = raw?;
        match &self.take {
            Take::Whole => Some(raw.to_vec()),
            Take::Member(_, number) => Some(self.member(raw, *number).to_le_bytes().to_vec()),
            Take::Json(path) => path.text_in(raw).ok()?,
            Take::Digits => match Value::decode(&self.kind, raw) {
                Ok(Value::Int(value)) => Some(value.to_string().into_bytes()),
                Ok(Value::UInt(value)) => Some(value.to_string().into_bytes()),
                _ => None,
            },
        }
    }

    fn member(&self, raw: &[u8], number: u8) -> i64 {
        match Value::decode(&self.kind, raw) {
            Ok(Value::Set(bits)) if bits >> (number - 1) & 1 == 1 => i64::from(number),
            _ => 0,
        }
    }

    /// A value that cannot be read is for the server to judge: it refuses the constant.
    pub fn value<'a>(&'a self, raw: Option<&'a [u8]>) -> Val<'a> {
        let Some(raw) = raw else { return Val::Null };
        let whole = |mantissa: i128, is_unsigned| {
            Val::Exact(Exact {
                mantissa,
                scale: 0,
                is_unsigned,
            })
        };
        match &self.take {
            Take::Whole => {}
            Take::Member(_, number) => return whole(self.member(raw, *number).into(), false),
            Take::Json(_) | Take::Digits => {
                let text = self.constant(Some(raw));
                return text.map_or(Val::Null, |text| Val::Text(text.into(), self.collation, true));
            }
        }
        match (&self.kind, Value::decode(&self.kind, raw)) {
            (_, Ok(Value::Int(value))) => whole(i128::from(value), false),
            (_, Ok(Value::UInt(value) | Value::Bit(value))) => whole(i128::from(value), true),
            (_, Ok(Value::Decimal(text))) => decimal(&text),
            (_, Ok(Value::Float(value))) => Val::Double(f64::from(value)),
            (_, Ok(Value::Double(value))) => Val::Double(value),
            (_, Ok(Value::Date(value) | Value::DateTime(value))) => Val::Date(moment(&value)),
            (_, Ok(Value::Timestamp { seconds, micros })) => Val::Date(timestamp(seconds, micros)),
            (_, Ok(Value::Time(value))) => Val::Time(time_micros(&value)),
            (_, Ok(Value::Year(year))) => Val::Year(year),
            (_, Ok(Value::Text(text))) => Val::Text(Cow::Borrowed(text), self.collation, self.is_utf8),
            (ColumnKind::Enum { members }, Ok(Value::Enum(index))) => {
                let label = usize::from(index).checked_sub(1).and_then(|at| members.get(at));
                self.label(Cow::Borrowed(label.map_or(&[], |label| label.as_bytes())))
            }
            (ColumnKind::Set { members }, Ok(Value::Set(bits))) => self.label(set_text(members, bits).into_bytes().into()),
            (ColumnKind::Binary { .. } | ColumnKind::VarBinary { .. } | ColumnKind::Blob { .. }, Ok(Value::Bytes(bytes))) => {
                Val::Bytes(bytes)
            }
            _ => Val::Other,
        }
    }

    /// Labels are UTF-8 here, whatever they are there.
    fn label<'a>(&self, label: Cow<'a, [u8]>) -> Val<'a> {
        let is_same = self.is_utf8 || (label.is_ascii() && self.collation != Collation::Unknown);
        if is_same {
            Val::Text(label, self.collation, self.is_utf8)
        } else {
            Val::Other
        }
    }
}

/// The text of a SET.
#[must_use]
pub fn set_text(members: &[String], bits: u64) -> String {
    let is_in = |at: &usize| {
        u32::try_from(*at)
            .ok()
            .and_then(|at| bits.checked_shr(at))
            .is_some_and(|bits| bits & 1 == 1)
    };
    let names: Vec<&str> = (0..members.len()).filter(is_in).map(|at| members[at].as_str()).collect();
    names.join(",")
}

/// `-1.50`. It always has a scale here: calculations with DECIMAL are the server's.
fn decimal(text: &str) -> Val<'static> {
    let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let digits = text.replace('.', "");
    let mantissa = if scale == 0 { format!("{digits}0") } else { digits }.parse::<i128>();
    match (mantissa, u8::try_from(scale.max(1))) {
        (Ok(mantissa), Ok(scale)) => Val::Exact(Exact {
            mantissa,
            scale,
            is_unsigned: false,
        }),
        _ => Val::Other,
    }
}
