//! A job between the two servers, and seeds that spoil something of it for a moment.

use std::time::{SystemTime, UNIX_EPOCH};

use peer::core::check::{Part, Question, ReplicaIds, SourceFacts};
use peer::core::finding::{Finding, Severity};
use peer::core::job_spec::JobSpec;
use peer::mysql::preflight::{check_source, check_target};

use super::support::schema::TestSchema;
use super::support::servers::{Server, servers};

pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap()
}

/// The statements of a fix: what stands behind `--` is for people.
pub fn statements(fix: &str) -> Vec<&str> {
    let sql = fix.split(" -- ").next().unwrap_or_default();
    let all = sql.split("; ").map(|statement| statement.trim().trim_end_matches(';'));
    all.filter(|statement| !statement.is_empty()).collect()
}

/// Under which the bed's job would read the binlog.
pub const REPLICA_NUMBER: u32 = 3_000_000_001;
pub const REPLICA_UUID: &str = "0f0f0f0f-0000-8000-a000-0f0f0f0f0f0f";

/// Who changes a whole server holds it alone; every other test of the file shares it.
pub static WHOLE_SERVERS: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

/// Which of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Source,
    Target,
}

/// One misconfiguration. `{s}` in statements is the job's schema, `{m}` its meta schema.
pub struct Seed {
    pub name: &'static str,
    pub id: &'static str,
    pub severity: Severity,
    pub says: String,
    pub before: Vec<(On, String)>,
    pub after: Vec<(On, String)>,
    pub spec: Box<dyn Fn(&mut JobSpec) + Send + Sync>,
    pub facts: Box<dyn Fn(&mut SourceFacts) + Send + Sync>,
    /// Its fix is run, there, and then nothing of the number is bad any more.
    pub is_mended: bool,
    pub mended_on: On,
}

impl Default for Seed {
    fn default() -> Self {
        seed("nothing", "PEER0000")
    }
}

pub fn seed(name: &'static str, id: &'static str) -> Seed {
    Seed {
        name,
        id,
        severity: Severity::Fail,
        says: String::new(),
        before: Vec::new(),
        after: Vec::new(),
        spec: Box::new(|_| {}),
        facts: Box::new(|_| {}),
        is_mended: false,
        mended_on: On::Source,
    }
}

impl Seed {
    pub fn does(mut self, on: On, statements: &[&str]) -> Self {
        self.before.extend(statements.iter().map(|one| (on, (*one).to_owned())));
        self
    }

    pub fn undone(mut self, on: On, statements: &[&str]) -> Self {
        self.after.extend(statements.iter().map(|one| (on, (*one).to_owned())));
        self
    }

    /// A global variable gets a value, and its old one and no persisted one afterwards.
    pub fn sets(self, on: On, name: &str, value: &str, old: &str) -> Self {
        let (set, reset) = (format!("SET GLOBAL {name} = {value}"), format!("SET GLOBAL {name} = {old}"));
        self.does(on, &[&set])
            .undone(on, &[&reset, &format!("RESET PERSIST IF EXISTS {name}")])
    }

    pub fn spec(mut self, change: impl Fn(&mut JobSpec) + Send + Sync + 'static) -> Self {
        self.spec = Box::new(change);
        self
    }

    pub fn facts(mut self, change: impl Fn(&mut SourceFacts) + Send + Sync + 'static) -> Self {
        self.facts = Box::new(change);
        self
    }

    pub fn fails(mut self, says: &str) -> Self {
        (self.severity, self.says) = (Severity::Fail, says.to_owned());
        self
    }

    pub fn warns(mut self, says: &str) -> Self {
        (self.severity, self.says) = (Severity::Warn, says.to_owned());
        self
    }

    /// Nothing bad, in these words.
    pub fn finds(mut self, says: &str) -> Self {
        (self.severity, self.says) = (Severity::Ok, says.to_owned());
        self
    }

    pub fn mended(mut self, on: On) -> Self {
        (self.is_mended, self.mended_on) = (true, on);
        self
    }
}

pub struct Bed {
    pub schema: TestSchema,
    pub spec: JobSpec,
    /// An account that nobody else has, on both servers.
    pub user: String,
}

impl Bed {
    /// A job of one table, `a (id INT PRIMARY KEY)`.
    pub async fn new(word: &str) -> Self {
        let schema = TestSchema::new(word).await;
        let servers = servers();
        servers
            .source
            .run(&[&format!("CREATE TABLE {}.a (id INT PRIMARY KEY)", schema.base)])
            .await;
        let end = |port: u16| format!("host = \"127.0.0.1\"\nport = {port}\nuser = \"root\"\npassword = \"\"\n");
        let text = format!(
            "name = \"orders\"\n[source]\n{}start = \"snapshot\"\n[sink]\n{}meta_schema = \"{}\"\n[[tables]]\nschema = \"{}\"\ntable = \"a\"\n",
            end(servers.source.port),
            end(servers.target.port),
            schema.meta,
            schema.base
        );
        let spec = peer::config::job::parse_job(&text).expect("a valid job");
        let user = format!("chk_{word}_{}", std::process::id());
        Self { schema, spec, user }
    }

    pub async fn run(&self, on: On, statements: &[String]) -> Result<(), String> {
        use mysql_async::prelude::Queryable;
        let mut conn = self.server(on).conn().await;
        for statement in statements {
            let sql = self.filled(statement);
            conn.query_drop(&sql).await.map_err(|error| format!("{sql}: {error}"))?;
        }
        conn.disconnect().await.map_err(|error| error.to_string())
    }

    pub fn filled(&self, text: &str) -> String {
        text.replace("{s}", &self.schema.base)
            .replace("{m}", &self.schema.meta)
            .replace("{u}", &self.user)
    }

    fn server(&self, on: On) -> Server {
        match on {
            On::Source => servers().source,
            On::Target => servers().target,
        }
    }

    /// Everything that both sides tell with the seed's job and facts.
    pub async fn check(&self, seed: &Seed) -> Vec<Finding> {
        let mut spec = self.spec.clone();
        (seed.spec)(&mut spec);
        let question = Question {
            replica: Some(ReplicaIds {
                server_id: REPLICA_NUMBER,
                uuid: REPLICA_UUID.into(),
            }),
            ..Question::of(Part::Source, &spec)
        };
        let report = check_source(&question, &now_us).await.expect("a look at the source");
        let mut findings = report.findings;
        let source = report.source.map(|mut facts| {
            (seed.facts)(&mut facts);
            facts
        });
        let question = Question {
            source,
            ..Question::of(Part::Target, &spec)
        };
        let report = check_target(&question, &now_us).await;
        findings.extend(report.expect("a look at the target").findings);
        findings
    }

    /// Seeds, looks, mends, looks again, undoes; the finding, or what is wrong with it.
    pub async fn verdict(&self, seed: &Seed) -> Result<Finding, String> {
        let outcome = self.tried(seed).await;
        let mut undone = Ok(());
        for (on, statement) in &seed.after {
            // The rest is undone all the same.
            let one = self.run(*on, std::slice::from_ref(statement)).await;
            undone = undone.and(one);
        }
        outcome.and_then(|finding| undone.map(|()| finding))
    }

    async fn tried(&self, seed: &Seed) -> Result<Finding, String> {
        for (on, statement) in &seed.before {
            self.run(*on, std::slice::from_ref(statement)).await?;
        }
        let findings = self.check(seed).await;
        let says = self.filled(&seed.says);
        let is_it = |finding: &&Finding| {
            finding.id == seed.id
                && finding.severity == seed.severity
                && (finding.found.contains(&says) || finding.object.contains(&says))
        };
        let Some(found) = findings.iter().find(is_it) else {
            let of_id: Vec<&Finding> = findings.iter().filter(|finding| finding.id == seed.id).collect();
            return Err(format!("nothing of {:?} that says `{says}`: {of_id:?}", seed.severity));
        };
        if found.severity > Severity::Ok && (found.expected.is_empty() || found.fix.is_empty()) {
            return Err(format!("without what is expected or a fix: {found:?}"));
        }
        if seed.is_mended {
            let fix: Vec<String> = statements(&found.fix).into_iter().map(str::to_owned).collect();
            self.run(seed.mended_on, &fix).await?;
            let findings = self.check(seed).await;
            if let Some(still) = findings
                .iter()
                .find(|one| one.id == seed.id && one.object == found.object && one.severity > Severity::Ok)
            {
                return Err(format!("after `{}` it is still {still:?}", found.fix));
            }
        }
        Ok(found.clone())
    }
}
