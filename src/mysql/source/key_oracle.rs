//! Orders keys as the source server does, by asking it (PROTOCOLS 1 step 14): nobody reimplements a collation.
//!
//! Fed by `flow::merger` with the questions of `core::copy_state`, before it places the changes; answers them as a `BorderOrder`. Only for
//! tables in copy. Keys that Rust can order are never asked for. The cache is bounded by count and emptied as a whole.

use std::collections::HashMap;

use crate::core::change::Key;
use crate::core::copy_state::{BorderOrder, Question};
use crate::core::job_spec::DatabaseSpec;
use crate::core::key::{KeyOrder, compare};
use crate::core::shape::{TableName, TableShape};
use crate::mysql::error::Error;
use crate::mysql::session::Session;
use crate::mysql::source::canonical::SESSION_SETTINGS;
use crate::mysql::source::key_range::literals;

/// Comparisons in one SELECT: one round trip pays for them, and the text stays far below max_allowed_packet.
const QUESTIONS_PER_QUERY: usize = 200;
/// Answers kept: some 20 MB of short keys (guess). Borders move with every chunk, so old answers are of little use.
const ANSWERS_MAX: usize = 100_000;

/// Answers of one server about one job's tables.
#[derive(Debug, Default)]
pub struct KeyAnswers {
    by_table: HashMap<TableName, HashMap<(Key, Key), bool>>,
    count: usize,
}

impl KeyAnswers {
    fn get(&self, table: &TableName, key: &Key, border: &Key) -> Option<bool> {
        // The tuple must be owned to be looked up; keys are short.
        self.by_table.get(table)?.get(&(key.clone(), border.clone())).copied()
    }

    fn put(&mut self, table: &TableName, question: &Question, answer: bool) {
        let answers = self.by_table.entry(table.clone()).or_default();
        if answers
            .insert((question.key.clone(), question.border.clone()), answer)
            .is_none()
        {
            self.count += 1;
        }
    }
}

impl BorderOrder for KeyAnswers {
    fn is_at_most(&self, shape: &TableShape, key: &Key, border: &Key) -> bool {
        match KeyOrder::of(shape) {
            KeyOrder::Rust => compare(shape, key, border).is_le(),
            KeyOrder::Server => self
                .get(&shape.name, key, border)
                .expect("the merger asks every question of a change before it is placed"),
        }
    }
}

/// Asks the server. Connects at the first question: most jobs have none.
#[derive(Debug)]
pub struct KeyOracle {
    spec: DatabaseSpec,
    session: Option<Session>,
    answers: KeyAnswers,
}

impl KeyOracle {
    /// An oracle that has asked nothing yet.
    #[must_use]
    pub fn new(spec: DatabaseSpec) -> Self {
        Self {
            spec,
            session: None,
            answers: KeyAnswers::default(),
        }
    }

    /// The order, right for every question that was asked last.
    #[must_use]
    pub fn answers(&self) -> &KeyAnswers {
        &self.answers
    }

    /// This table's keys need the server.
    #[must_use]
    pub fn is_needed(shape: &TableShape) -> bool {
        KeyOrder::of(shape) == KeyOrder::Server
    }

    /// Makes `answers` right for all of `questions`; `shape_of` names their tables.
    ///
    /// # Errors
    /// The server cannot be reached, or a key does not fit its shape.
    pub async fn ask<'a>(&mut self, questions: &[Question], shape_of: impl Fn(&Question) -> &'a TableShape) -> Result<(), Error> {
        if self.answers.count + questions.len() > ANSWERS_MAX {
            self.answers = KeyAnswers::default();
        }
        let mut open: Vec<(&'a TableShape, &Question)> = Vec::new();
        for question in questions {
            let shape = shape_of(question);
            if self.answers.get(&shape.name, &question.key, &question.border).is_none() {
                open.push((shape, question));
            }
        }
        for batch in open.chunks(QUESTIONS_PER_QUERY) {
            self.ask_batch(batch).await?;
        }
        Ok(())
    }

    async fn ask_batch(&mut self, batch: &[(&TableShape, &Question)]) -> Result<(), Error> {
        let comparisons = batch
            .iter()
            .map(|(shape, question)| comparison(shape, question))
            .collect::<Result<Vec<_>, _>>()?;
        let sql = format!("SELECT {}", comparisons.join(", "));
        let session = self.session().await?;
        let row = session.first::<mysql_async::Row>(sql).await?;
        let mut row = row.ok_or_else(|| session.unexpected("no row", "one row of answers"))?;
        for (at, (shape, question)) in batch.iter().enumerate() {
            let answer = row.take_opt::<bool, _>(at).and_then(Result::ok);
            let Some(answer) = answer else {
                return Err(self.session().await?.unexpected("no answer", "the order of two keys"));
            };
            self.answers.put(&shape.name, question, answer);
        }
        Ok(())
    }

    async fn session(&mut self) -> Result<&mut Session, Error> {
        if self.session.is_none() {
            let mut session = Session::connect(&self.spec).await?;
            session.execute(SESSION_SETTINGS).await?;
            self.session = Some(session);
        }
        Ok(self.session.as_mut().expect("set above"))
    }
}

/// `(k1, k2) <= (b1, b2)` on constants, each under its column's collation.
fn comparison(shape: &TableShape, question: &Question) -> Result<String, Error> {
    let key = shape.key.as_ref().expect("only keyed tables have borders");
    let (left, right) = (literals(shape, key, &question.key)?, literals(shape, key, &question.border)?);
    Ok(if left.len() == 1 {
        format!("{} <= {}", left[0], right[0])
    } else {
        format!("({}) <= ({})", left.join(", "), right.join(", "))
    })
}
