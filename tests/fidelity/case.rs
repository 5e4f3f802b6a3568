//! What a case is made of, and what comes of it.

/// How rows reach the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Copy,
    Stream,
    Kill,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Copy, Self::Stream, Self::Kill];

    pub fn word(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Stream => "stream",
            Self::Kill => "kill",
        }
    }
}

/// Statements one session runs; a kill never falls between them.
#[derive(Debug)]
pub struct Write {
    pub session: u8,
    pub statements: Vec<String>,
}

/// Made by `Case::new` and the methods that follow it.
#[derive(Debug)]
pub struct Case {
    /// Unique, a word that may stand in a schema's name, at most 28 characters.
    pub name: &'static str,
    pub settings: Vec<String>,
    pub tables: Vec<String>,
    pub writes: Vec<Write>,
    pub left_out: Vec<(Way, &'static str)>,
}

// A builder for all topics: not each of its methods is in use at any time.
#[allow(dead_code)]
impl Case {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            settings: Vec::new(),
            tables: Vec::new(),
            writes: Vec::new(),
            left_out: Vec::new(),
        }
    }

    /// What each session of the case sets first: `sql_mode = '', time_zone = '+08:00'`. Without it sessions have the server's
    /// defaults, except that NO_ZERO_DATE and NO_ZERO_IN_DATE are off.
    pub fn set(mut self, settings: impl Into<String>) -> Self {
        self.settings.push(format!("SET {}", settings.into()));
        self
    }

    /// A statement that is there before the job in every way: CREATE TABLE, rows that later ones change.
    pub fn table(mut self, sql: impl Into<String>) -> Self {
        self.tables.push(sql.into());
        self
    }

    /// A statement that writes rows, in a transaction of its own.
    pub fn write(self, sql: impl Into<String>) -> Self {
        self.write_in(0, sql)
    }

    /// The same in another of the case's sessions; a session stays open until the case is written.
    pub fn write_in(mut self, session: u8, sql: impl Into<String>) -> Self {
        let statements = vec![sql.into()];
        self.writes.push(Write { session, statements });
        self
    }

    /// Statements in one transaction.
    pub fn transaction(mut self, statements: &[&str]) -> Self {
        let inner = statements.iter().map(|sql| (*sql).to_owned());
        let statements = ["BEGIN".to_owned()].into_iter().chain(inner).chain(["COMMIT".to_owned()]);
        self.writes.push(Write {
            session: 0,
            statements: statements.collect(),
        });
        self
    }

    /// Keeps the case out of a way in which it makes no sense.
    pub fn not(mut self, way: Way, reason: &'static str) -> Self {
        self.left_out.push((way, reason));
        self
    }

    /// Why it is not run this way.
    pub fn is_left_out(&self, way: Way) -> Option<&'static str> {
        self.left_out.iter().find(|(out, _)| *out == way).map(|(_, reason)| *reason)
    }
}

/// What came of a case in one way.
#[derive(Debug)]
pub enum Verdict {
    Ok,
    LeftOut(&'static str),
    /// What differs, or which statement failed.
    Wrong(String),
}

impl Verdict {
    pub fn word(&self) -> String {
        match self {
            Self::Ok => "ok".into(),
            Self::LeftOut(reason) => format!("n/a: {reason}"),
            Self::Wrong(_) => "WRONG".into(),
        }
    }

    pub fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong(_))
    }
}
