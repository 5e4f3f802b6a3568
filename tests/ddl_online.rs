//! gh-ost and pt-online-schema-change, replayed: their statements in their order, in stream and in copy, while rows are written.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use support::job_bed::JobBed;
use support::servers::Server;

/// For what takes some seconds on a quiet machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Rows of the table before the tool begins.
const ROWS: u32 = 900;

async fn run(conn: &mut Conn, schema: &str, statements: &[&str]) {
    for statement in statements {
        let sql = statement.replace("{}", schema);
        conn.query_drop(&sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// Writes into `t` and does the same to the tool's copy, as gh-ost does with what it reads in the binlog, until told to stop.
async fn write(server: Server, schema: &str, first: u32, copy: Option<&str>, stop: &AtomicBool) {
    let mut conn = server.conn().await;
    let mut round = 0u32;
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let (new, old) = (first + round, round * 7 % ROWS + 1);
        let changes = [
            format!("INSERT INTO {{}}.t (id, v) VALUES ({new}, 'new {round}')"),
            format!("UPDATE {{}}.t SET v = 'changed {round}' WHERE id = {old}"),
            format!("DELETE FROM {{}}.t WHERE id = {}", new - 3),
        ];
        for change in &changes {
            run(&mut conn, schema, &[change]).await;
        }
        if let Some(copy) = copy {
            let applied = [
                format!("replace /* gh-ost `{{}}`.`{copy}` */ into `{{}}`.`{copy}` (`id`, `v`) values ({new}, 'new {round}')"),
                format!(
                    "replace /* gh-ost `{{}}`.`{copy}` */ into `{{}}`.`{copy}` (`id`, `v`) values ({old}, 'changed {round}')"
                ),
                format!(
                    "delete /* gh-ost `{{}}`.`{copy}` */ from `{{}}`.`{copy}` where ((`id` = {}))",
                    new - 3
                ),
            ];
            for change in &applied {
                run(&mut conn, schema, &[change]).await;
            }
        }
    }
    conn.disconnect().await.unwrap();
}

/// A run of gh-ost: changelog, ghost, rows in pieces, two sessions for the cut-over.
async fn gh_ost(server: Server, schema: &str, alter: &str) {
    let mut tool = server.conn().await;
    run(
        &mut tool,
        schema,
        &[
            "drop /* gh-ost */ table if exists `{}`.`_t_ghc`",
            "drop /* gh-ost */ table if exists `{}`.`_t_gho`",
            "drop /* gh-ost */ table if exists `{}`.`_t_del`",
            "create /* gh-ost */ table `{}`.`_t_ghc` (id bigint unsigned auto_increment, last_update timestamp not null DEFAULT \
             CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, hint varchar(64) charset ascii not null, value varchar(4096) charset ascii not \
             null, primary key(id), unique key hint_uidx(hint)) auto_increment=256 comment='gh-ost changelog table'",
            "create /* gh-ost */ table `{}`.`_t_gho` like `{}`.`t`",
            &format!("alter /* gh-ost */ table `{{}}`.`_t_gho` {alter}"),
            "insert /* gh-ost */ into `{}`.`_t_ghc` (id, hint, value) values (NULLIF(2, 0), 'state', 'GhostTableMigrated') on duplicate \
             key update last_update=NOW(), value=VALUES(value)",
        ],
    )
    .await;
    let stop = AtomicBool::new(false);
    let working = async {
        let mut from = 0;
        while from < ROWS {
            let to = from + 100;
            let piece = format!(
                "insert /* gh-ost `{{}}`.`t` */ ignore into `{{}}`.`_t_gho` (`id`, `v`) (select `id`, `v` from `{{}}`.`t` force index (`PRIMARY`) \
                 where (((`id` > {from})) and ((`id` <= {to}))) lock in share mode)"
            );
            let beat = "insert /* gh-ost */ into `{}`.`_t_ghc` (id, hint, value) values (NULLIF(1, 0), 'heartbeat', 'now') on duplicate key \
                        update last_update=NOW(), value=VALUES(value)";
            run(&mut tool, schema, &[&piece, beat]).await;
            from = to;
        }
        let rest = format!(
            "insert /* gh-ost */ ignore into `{{}}`.`_t_gho` (`id`, `v`) (select `id`, `v` from `{{}}`.`t` where `id` > {ROWS} lock in share mode)"
        );
        run(&mut tool, schema, &[&rest]).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(working, write(server, schema, 10_000, Some("_t_gho"), &stop));
    cut_over(server, schema).await;
    run(
        &mut tool,
        schema,
        &[
            "drop /* gh-ost */ table if exists `{}`.`_t_ghc`",
            "drop /* gh-ost */ table if exists `{}`.`_t_del`",
        ],
    )
    .await;
    tool.disconnect().await.unwrap();
}

/// The atomic cut-over: the sentry table, a lock on both, a rename that waits, an INSERT that waits behind it.
async fn cut_over(server: Server, schema: &str) {
    let (mut locker, mut renamer, mut writer) = (server.conn().await, server.conn().await, server.conn().await);
    run(
        &mut locker,
        schema,
        &[
            "create /* gh-ost */ table `{}`.`_t_del` (id int auto_increment primary key) engine=InnoDB comment='ghost-cut-over-sentry'",
            "lock /* gh-ost */ tables `{}`.`t` write, `{}`.`_t_del` write",
        ],
    )
    .await;
    let late = ["INSERT INTO {}.t (id, v) VALUES (50000, 'waited for the cut-over')"];
    let rename = ["rename /* gh-ost */ table `{}`.`t` to `{}`.`_t_del`, `{}`.`_t_gho` to `{}`.`t`"];
    let unlocking = async {
        await_waiting(server, schema, 2).await;
        run(
            &mut locker,
            schema,
            &["drop /* gh-ost */ table if exists `{}`.`_t_del`", "unlock tables"],
        )
        .await;
    };
    let renaming = async {
        await_waiting(server, schema, 1).await;
        run(&mut renamer, schema, &rename).await;
    };
    tokio::join!(run(&mut writer, schema, &late), renaming, unlocking);
    for conn in [locker, renamer, writer] {
        conn.disconnect().await.unwrap();
    }
}

/// Waits until so many sessions wait for a lock on a table of the schema.
async fn await_waiting(server: Server, schema: &str, sessions: u64) {
    let sql = format!(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock' AND info LIKE '%{schema}%'"
    );
    let start = std::time::Instant::now();
    while server.number(&sql).await < sessions {
        assert!(start.elapsed() < LIMIT, "{sessions} sessions wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A run of pt-online-schema-change: the new table, three triggers, rows in pieces, the swap.
async fn pt_osc(server: Server, schema: &str, alter: &str) {
    let mut tool = server.conn().await;
    let name = schema.to_owned();
    run(
        &mut tool,
        schema,
        &[
            "CREATE TABLE `{}`.`_t_new` LIKE `{}`.`t`",
            &format!("ALTER TABLE `{{}}`.`_t_new` {alter}"),
            &format!("CREATE TRIGGER `{{}}`.`pt_osc_{name}_t_del` AFTER DELETE ON `{{}}`.`t` FOR EACH ROW BEGIN DECLARE CONTINUE HANDLER FOR 1146 \
             begin end; DELETE IGNORE FROM `{{}}`.`_t_new` WHERE `{{}}`.`_t_new`.`id` <=> OLD.`id`; END"),
            &format!("CREATE TRIGGER `{{}}`.`pt_osc_{name}_t_upd` AFTER UPDATE ON `{{}}`.`t` FOR EACH ROW BEGIN DECLARE CONTINUE HANDLER FOR 1146 \
             begin end; DELETE IGNORE FROM `{{}}`.`_t_new` WHERE !(OLD.`id` <=> NEW.`id`) AND `{{}}`.`_t_new`.`id` <=> OLD.`id`; \
             REPLACE INTO `{{}}`.`_t_new` (`id`, `v`) VALUES (NEW.`id`, NEW.`v`); END"),
            &format!("CREATE TRIGGER `{{}}`.`pt_osc_{name}_t_ins` AFTER INSERT ON `{{}}`.`t` FOR EACH ROW BEGIN DECLARE CONTINUE HANDLER FOR 1146 \
             begin end; REPLACE INTO `{{}}`.`_t_new` (`id`, `v`) VALUES (NEW.`id`, NEW.`v`); END"),
        ],
    )
    .await;
    let stop = AtomicBool::new(false);
    let working = async {
        let mut from = 0;
        while from < ROWS {
            let to = from + 100;
            let piece = format!(
                "INSERT LOW_PRIORITY IGNORE INTO `{{}}`.`_t_new` (`id`, `v`) SELECT `id`, `v` FROM `{{}}`.`t` FORCE INDEX(`PRIMARY`) WHERE \
                 ((`id` > '{from}')) AND ((`id` <= '{to}')) LOCK IN SHARE MODE /*pt-online-schema-change 4711 copy nibble*/"
            );
            run(&mut tool, schema, &[&piece]).await;
            from = to;
        }
        let rest = format!(
            "INSERT LOW_PRIORITY IGNORE INTO `{{}}`.`_t_new` (`id`, `v`) SELECT `id`, `v` FROM `{{}}`.`t` WHERE `id` > {ROWS} LOCK IN SHARE MODE"
        );
        run(
            &mut tool,
            schema,
            &[
                &rest,
                "ANALYZE TABLE `{}`.`_t_new` /* pt-online-schema-change */",
                "RENAME TABLE `{}`.`t` TO `{}`.`_t_old`, `{}`.`_t_new` TO `{}`.`t`",
                "DROP TABLE IF EXISTS `{}`.`_t_old`",
                &format!("DROP TRIGGER IF EXISTS `{{}}`.`pt_osc_{name}_t_del`"),
                &format!("DROP TRIGGER IF EXISTS `{{}}`.`pt_osc_{name}_t_upd`"),
                &format!("DROP TRIGGER IF EXISTS `{{}}`.`pt_osc_{name}_t_ins`"),
            ],
        )
        .await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(working, write(server, schema, 70_000, None, &stop));
    tool.disconnect().await.unwrap();
}

/// The job's table is as the tool left it, and none of its own tables came along.
fn await_result(bed: &JobBed, line: &str) {
    bed.await_status("the target has everything", |status| {
        status["caught_up"] == true && status["state"] == "streaming"
    });
    bed.await_equal(LIMIT);
    let found = bed.text(
        &support::servers::servers().target,
        "SELECT GROUP_CONCAT(table_name) FROM information_schema.tables WHERE table_schema = '{}'",
    );
    assert_eq!(found, "t", "the tools' tables are not shipped");
    let columns = "SELECT GROUP_CONCAT(CONCAT_WS(' ', column_name, column_type) ORDER BY ordinal_position SEPARATOR ', ') \
                   FROM information_schema.columns WHERE table_schema = '{}'";
    assert_eq!(bed.text(&support::servers::servers().target, columns), line);
}

fn fill(bed: &JobBed) {
    // Several chunks that compression makes little smaller, so that a slow link is busy for seconds.
    let value: Vec<String> = (1..80).map(|part| format!("SHA2(i * {part}, 512)")).collect();
    let value = value.join(", ");
    bed.on_source(&[&format!(
        "INSERT INTO {{}}.t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) SELECT i, CONCAT({value}) FROM n"
    )]);
}

const BOTH: &str = "id bigint, v mediumtext, a int, b int";

fn both_tools(bed: &JobBed) {
    let schema = bed.schema.base.clone();
    bed.runtime.block_on(async {
        gh_ost(
            bed.source,
            &schema,
            "MODIFY id BIGINT, MODIFY v MEDIUMTEXT, ADD COLUMN a INT DEFAULT 4",
        )
        .await;
        pt_osc(bed.source, &schema, "ADD COLUMN b INT DEFAULT 5").await;
    });
    await_result(bed, BOTH);
}

#[test]
fn p1_the_online_tools_change_a_table_that_streams() {
    let bed = JobBed::streaming("online", &["t"]);
    fill(&bed);
    both_tools(&bed);
}

#[test]
fn p1_the_online_tools_change_a_table_that_is_being_copied() {
    let mut bed = JobBed::new("onlinecopy", &["t"]);
    bed.cluster.add("one", "dc1", &[]);
    fill(&bed);
    bed.job.extra = "[link]\nrate = \"1 MB/s\"\n".into();
    bed.submit();
    bed.await_status("rows are copied", |status| status["state"] == "copying");
    both_tools(&bed);
}

#[test]
fn p1_the_tables_of_online_tools_are_never_shipped_by_a_pattern() {
    let mut bed = JobBed::new("onlineall", &["t"]);
    bed.cluster.add("one", "dc1", &[]);
    fill(&bed);
    bed.on_source(&["CREATE TABLE {}._left_old (id INT PRIMARY KEY)"]);
    bed.job.extra = bed.filled("[[tables]]\nschema = \"{}\"\ntable = \"/.*/\"\n");
    bed.submit_tables(&[]);
    bed.await_state("streaming");
    both_tools(&bed);
}
