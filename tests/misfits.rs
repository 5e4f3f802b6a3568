//! Rows of the target that do not fit, at the target's own seam: found, decided, recorded, once (PROTOCOLS 10).

mod support;

use peer::core::change::{Change, Chunk, CopyPlan};
use peer::core::conflict::{Check, Conflict, ConflictList, ConflictPolicy, OnConflict};
use peer::core::group::{Group, GroupLimits, Grouper};
use peer::core::gtid_set::GtidSet;
use peer::core::ids::Seq;
use peer::core::shape::{ShapeId, TableShape};
use peer::core::skip::{Skip, Skips};
use peer::mysql::error::Error;
use peer::mysql::session::Session;
use peer::mysql::target::conflict_store;
use peer::mysql::target::meta::Meta;
use peer::mysql::target::writer::Target;
use support::servers::servers;
use support::target::{Bed, SOURCE_UUID, database, delete, gtids, insert, mismatch, part, row, update};

async fn records(bed: &Bed) -> ConflictList {
    let mut session = Session::connect(&database(servers().target)).await.expect("connects");
    let list = conflict_store::read(&mut session, &Meta::new(&bed.schema.meta), &bed.job).await;
    session.close().await;
    list.expect("records")
}

async fn run(bed: &Bed, statement: &str) {
    servers()
        .target
        .run(&[&statement.replace("S.", &format!("{}.", bed.schema.base))])
        .await;
}

fn policy(on_conflict: OnConflict, check: Check) -> ConflictPolicy {
    ConflictPolicy { on_conflict, check }
}

/// A group of one transaction per element, numbered from `first`.
fn group(shapes: &[TableShape], first: u64, transactions: Vec<Vec<Change>>) -> Group {
    let mut grouper = Grouper::new(GroupLimits {
        transactions: u64::MAX,
        bytes: u64::MAX,
    });
    for (at, shape) in shapes.iter().enumerate() {
        grouper.set_shape(ShapeId(u32::try_from(at).expect("few")), shape.clone());
    }
    for (number, changes) in (first..).zip(transactions) {
        grouper.push(part(number, changes)).expect("folds");
    }
    grouper.take()
}

fn summary(conflict: &Conflict) -> (String, String, String) {
    let Conflict { kind, key, decision, .. } = conflict;
    (kind.clone(), key.clone(), decision.clone())
}

fn told(kind: &str, key: &str, decision: &str) -> (String, String, String) {
    (kind.into(), key.into(), decision.into())
}

/// A table with rows 1 → 1 and 2 → 2, of which the target's 2 → 2 is 2 → 7 and there is 3 → 3 besides.
async fn altered(word: &str) -> (Bed, Target) {
    let bed = Bed::new(word).await;
    let mut target = bed.started("a").await;
    let rows = bed.group(11, vec![insert(1, 1), insert(2, 2)]);
    target.apply_group(&rows).await.expect("applied");
    run(&bed, "UPDATE S.t SET v = 7 WHERE id = 2").await;
    run(&bed, "INSERT INTO S.t VALUES (3, 3)").await;
    (bed, target)
}

/// The change, what is checked, the kind, the rows when the source wins.
type Case = (Change, Check, &'static str, Vec<(i32, i32)>);

fn cases() -> Vec<Case> {
    let rest = vec![(1, 1), (2, 7), (3, 3)];
    vec![
        (insert(3, 9), Check::Key, "duplicate", vec![(1, 1), (2, 7), (3, 9)]),
        (update(5, 1, 9), Check::Key, "missing", vec![(1, 1), (2, 7), (3, 3), (5, 9)]),
        (delete(5, 1), Check::Key, "missing", rest.clone()),
        (update(2, 2, 9), Check::Image, "different", vec![(1, 1), (2, 9), (3, 3)]),
        (delete(2, 2), Check::Image, "different", vec![(1, 1), (3, 3)]),
        (insert(3, 9), Check::Image, "duplicate", vec![(1, 1), (2, 7), (3, 9)]),
        (update(5, 1, 9), Check::Image, "missing", vec![(1, 1), (2, 7), (3, 3), (5, 9)]),
    ]
}

#[tokio::test]
async fn each_kind_is_told_and_nothing_of_its_transaction_is_there_when_the_job_pauses() {
    for (change, check, kind, _) in cases() {
        let (bed, mut target) = altered("pause").await;
        target.set_conflict_policy(policy(OnConflict::Pause, check));
        let before = bed.rows().await;
        let error = target
            .apply_group(&bed.group(12, vec![update(1, 1, 8), change]))
            .await
            .expect_err("a conflict");
        assert!(mismatch(&error).0.ends_with(&format!("({kind})")), "{error}");
        assert!(
            error.to_string().contains(&format!("in transaction {SOURCE_UUID}:12")),
            "{error}"
        );
        assert_eq!(bed.rows().await, before, "{kind}: nothing of the transaction is there");
        assert_eq!(target.progress().executed, gtids("1-11"), "{kind}");
        let list = records(&bed).await;
        let [conflict] = list.conflicts.as_slice() else {
            panic!("{list:?}")
        };
        assert_eq!((conflict.kind.as_str(), conflict.decision.as_str()), (kind, "paused"));
        assert_eq!(
            (conflict.gtid.clone(), conflict.binlog_pos),
            (format!("{SOURCE_UUID}:12"), 12)
        );
        assert_eq!(target.conflicts(), 1);
    }
}

#[tokio::test]
async fn each_kind_ends_as_the_source_or_the_target_has_it_and_is_recorded_with_its_progress() {
    for wins in [OnConflict::SourceWins, OnConflict::TargetWins] {
        for (change, check, kind, rows) in cases() {
            let (bed, mut target) = altered("wins").await;
            target.set_conflict_policy(policy(wins, check));
            let seq = target
                .apply_group(&bed.group(12, vec![update(1, 1, 8), change]))
                .await
                .expect("decided");
            assert_eq!((seq, &target.progress().executed), (Seq(3), &gtids("1-12")));
            let mut expected: std::collections::HashMap<i32, i32> = match wins {
                OnConflict::SourceWins => rows.into_iter().collect(),
                _ => [(1, 1), (2, 7), (3, 3)].into(),
            };
            expected.insert(1, 8);
            assert_eq!(bed.rows().await, expected, "{wins:?} {kind}");
            let list = records(&bed).await;
            assert_eq!((list.total, list.conflicts.len()), (1, 1));
            assert_eq!(
                (list.conflicts[0].kind.as_str(), list.conflicts[0].decision.as_str()),
                (kind, wins.decision())
            );
        }
    }
}

#[tokio::test]
async fn both_images_are_kept_with_their_columns_in_order() {
    let (bed, mut target) = altered("images").await;
    target.set_conflict_policy(policy(OnConflict::SourceWins, Check::Image));
    target
        .apply_group(&bed.group(12, vec![update(2, 2, 9)]))
        .await
        .expect("decided");
    let conflict = &records(&bed).await.conflicts[0];
    let image = |id: i32, v: i32| peer::core::conflict::Image(vec![("id".into(), id.into()), ("v".into(), v.into())]);
    assert_eq!(conflict.incoming.before, Some(image(2, 2)));
    assert_eq!(conflict.incoming.after, Some(image(2, 9)));
    assert_eq!(conflict.found, [image(2, 7)]);
    assert!(conflict.at.ends_with('Z') && conflict.table == "t", "{conflict:?}");
}

#[tokio::test]
async fn the_row_is_found_inside_a_group_of_a_thousand_transactions_and_those_before_it_are_there() {
    let (bed, mut target) = altered("thousand").await;
    let shapes = [bed.shape()];
    let mut transactions: Vec<Vec<Change>> = (100..1100).map(|id| vec![insert(id, 1)]).collect();
    transactions[700].push(delete(77, 1));
    let group = group(&shapes, 12, transactions.clone());
    let error = target.apply_group(&group).await.expect_err("a conflict");
    assert_eq!(mismatch(&error).1, "(77)");
    assert_eq!(target.progress().executed, gtids("1-711"));
    let rows = bed.rows().await;
    assert!(rows.contains_key(&799) && !rows.contains_key(&800), "{} rows", rows.len());
    target.set_conflict_policy(policy(OnConflict::TargetWins, Check::Key));
    let rest = self::group(&shapes, 712, transactions[700..].to_vec());
    target.apply_group(&rest).await.expect("decided");
    assert_eq!(target.progress().executed, gtids("1-1011"));
    assert_eq!(bed.rows().await.len(), 1003);
    let list = records(&bed).await;
    assert_eq!(summary(&list.conflicts[0]), told("missing", "(77)", "target-wins"));
    assert_eq!(
        (list.total, list.conflicts.len()),
        (1, 1),
        "the pause of the same row is not kept beside it"
    );
}

#[tokio::test]
async fn two_conflicts_of_one_transaction_are_both_told() {
    let (bed, mut target) = altered("two").await;
    let changes = vec![insert(3, 9), update(1, 1, 5), delete(6, 6)];
    let error = target
        .apply_group(&bed.group(12, changes.clone()))
        .await
        .expect_err("two conflicts");
    assert!(error.to_string().contains("1 more"), "{error}");
    let list = records(&bed).await;
    let found: Vec<_> = list.conflicts.iter().map(summary).collect();
    assert_eq!(found, [told("missing", "(6)", "paused"), told("duplicate", "(3)", "paused")]);
    // Mended by hand, it fits: the records say so.
    run(&bed, "DELETE FROM S.t WHERE id = 3").await;
    run(&bed, "INSERT INTO S.t VALUES (6, 6)").await;
    let mut target = bed.acquire("b").await;
    target.apply_group(&bed.group(12, changes)).await.expect("fits now");
    assert_eq!(bed.rows().await, [(1, 5), (2, 7), (3, 9)].into());
    let list = records(&bed).await;
    assert!(
        list.conflicts.iter().all(|conflict| conflict.decision == "mended"),
        "{list:?}"
    );
    assert_eq!((list.total, target.conflicts()), (2, 2));
}

#[tokio::test]
async fn a_conflict_that_is_tried_again_is_recorded_once() {
    let (bed, _) = altered("again").await;
    for owner in ["b", "c", "d"] {
        let mut target = bed.acquire(owner).await;
        let error = target.apply_group(&bed.group(12, vec![delete(9, 9)])).await;
        assert!(error.is_err());
    }
    let list = records(&bed).await;
    assert_eq!((list.total, list.conflicts.len()), (1, 1), "{list:?}");
}

#[tokio::test]
async fn a_transaction_passed_over_is_recorded_with_who_and_why() {
    let (bed, mut target) = altered("skip").await;
    target
        .apply_group(&bed.group(12, vec![delete(9, 9)]))
        .await
        .expect_err("a conflict");
    let skip = Skip {
        at: "t".into(),
        author: "sh-1".into(),
        reason: "it's known".into(),
        ..Skip::default()
    };
    let skips: Skips = [12, 14]
        .map(|number| (format!("{SOURCE_UUID}:{number}"), skip.clone()))
        .into();
    target.set_skips(skips);
    let empty = group(&[bed.shape()], 12, vec![vec![], vec![insert(4, 4)], vec![]]);
    target.apply_group(&empty).await.expect("applied");
    assert_eq!(target.progress().executed, gtids("1-14"));
    let list = records(&bed).await;
    let found: Vec<_> = list.conflicts.iter().map(summary).collect();
    assert_eq!(found, [told("skip", "", "skipped"), told("missing", "(9)", "skipped")]);
    assert!(
        list.conflicts
            .iter()
            .all(|conflict| (conflict.author.as_str(), conflict.reason.as_str()) == ("sh-1", "it's known"))
    );
    target.apply_group(&bed.group(15, vec![insert(5, 5)])).await.expect("applied");
    assert_eq!(records(&bed).await.total, 2, "told once");
}

#[tokio::test]
async fn a_row_gives_way_on_every_unique_key_when_the_source_wins() {
    let (bed, target) = altered("unique").await;
    target.close().await;
    run(&bed, "DELETE FROM S.t").await;
    run(
        &bed,
        "ALTER TABLE S.t ADD UNIQUE KEY by_v (v), ADD UNIQUE KEY by_hundred ((v DIV 100))",
    )
    .await;
    run(&bed, "INSERT INTO S.t VALUES (1, 100), (2, 700), (9, 900)").await;
    let mut target = bed.acquire("b").await;
    target.set_conflict_policy(policy(OnConflict::SourceWins, Check::Key));
    let changes = vec![insert(3, 703), insert(4, 100), update(9, 900, 703)];
    let error = target.apply_group(&bed.group(12, changes.clone())).await.map(drop);
    error.expect("decided");
    // The last change takes the place of a row that the same transaction put there.
    assert_eq!(bed.rows().await, [(4, 100), (9, 703)].into());
    let list = records(&bed).await;
    let found: Vec<_> = list
        .conflicts
        .iter()
        .map(|conflict| (summary(conflict), conflict.found.len()))
        .collect();
    let duplicate = |key: &str, rows| (told("duplicate", key, "source-wins"), rows);
    assert_eq!(
        found,
        [duplicate("(9)", 1), duplicate("(4)", 1), duplicate("(3)", 0)],
        "a key of expressions shows no row"
    );
}

#[tokio::test]
async fn a_large_transaction_that_does_not_fit_is_gone_as_a_whole_or_decided_as_a_whole() {
    let (bed, mut target) = altered("large").await;
    let before = bed.rows().await;
    target.large_begin().await.expect("begun");
    target
        .large_part(bed.group(12, vec![insert(10, 1)]).into())
        .await
        .expect("a part");
    target
        .large_part(bed.group(12, vec![insert(11, 1), insert(3, 9)]).into())
        .await
        .expect("on its way");
    let error = target.large_landed().await.expect_err("a conflict");
    assert!(mismatch(&error).0.contains("duplicate"), "{error}");
    assert_eq!(bed.rows().await, before);
    assert_eq!(records(&bed).await.total, 1);
    target.set_conflict_policy(policy(OnConflict::SourceWins, Check::Key));
    target.large_begin().await.expect("begun");
    target
        .large_part(bed.group(12, vec![insert(10, 1)]).into())
        .await
        .expect("a part");
    target
        .large_part(bed.group(12, vec![insert(11, 1), insert(3, 9)]).into())
        .await
        .expect("on its way");
    target.large_landed().await.expect("decided");
    target
        .large_commit(bed.group(12, vec![delete(99, 1)]).into())
        .await
        .expect("committed");
    assert_eq!(bed.rows().await, [(1, 1), (2, 7), (3, 9), (10, 1), (11, 1)].into());
    let found: Vec<_> = records(&bed).await.conflicts.iter().map(summary).collect();
    assert_eq!(
        found,
        [
            told("missing", "(99)", "source-wins"),
            told("duplicate", "(3)", "source-wins")
        ]
    );
}

#[tokio::test]
async fn a_row_that_is_in_the_way_of_the_copy_is_a_conflict_too() {
    let bed = Bed::new("copy").await;
    let mut target = bed.acquire("a").await;
    let plan = CopyPlan {
        shape: ShapeId(0),
        rows_estimate: None,
    };
    target
        .start(&GtidSet::default(), "u", vec![bed.shape()], &[plan])
        .await
        .expect("started");
    run(&bed, "INSERT INTO S.t VALUES (2, 9)").await;
    let chunk = Chunk {
        shape: ShapeId(0),
        low: None,
        high: None,
        rows: vec![row(1, 1), row(2, 2), row(3, 3)],
        is_last: true,
    };
    let error = target.apply_chunk(&chunk).await.expect_err("a conflict");
    assert!(error.to_string().ends_with("in the copy"), "{error}");
    assert_eq!(bed.rows().await, [(2, 9)].into());
    target.set_conflict_policy(policy(OnConflict::SourceWins, Check::Key));
    target.apply_chunk(&chunk).await.expect("decided");
    assert_eq!(bed.rows().await, [(1, 1), (2, 2), (3, 3)].into());
    assert!(target.progress().is_copied());
    let list = records(&bed).await;
    assert_eq!((list.total, list.conflicts[0].gtid.as_str()), (1, ""));
}

#[tokio::test]
async fn a_row_of_a_table_without_a_key_is_missing_when_none_is_like_it() {
    let bed = Bed::new("keyless").await;
    let mut target = bed.acquire("a").await;
    let shape = TableShape {
        key: None,
        create_sql: "CREATE TABLE `t` (\n  `id` int NOT NULL,\n  `v` int DEFAULT NULL\n) ENGINE=InnoDB".into(),
        ..bed.shape()
    };
    target
        .start(&gtids("1-10"), SOURCE_UUID, vec![shape.clone()], &[])
        .await
        .expect("started");
    run(&bed, "INSERT INTO S.t VALUES (1, 1), (1, 1)").await;
    let group = |number, changes| group(std::slice::from_ref(&shape), number, vec![changes]);
    let error = target
        .apply_group(&group(11, vec![delete(1, 1), delete(1, 2)]))
        .await
        .expect_err("missing");
    assert!(mismatch(&error).0.contains("missing"), "{error}");
    target.set_conflict_policy(policy(OnConflict::SourceWins, Check::Key));
    target
        .apply_group(&group(11, vec![delete(1, 1), delete(1, 2), update(4, 4, 5)]))
        .await
        .expect("decided");
    assert_eq!(bed.rows().await, [(1, 1), (4, 5)].into());
    assert_eq!(records(&bed).await.conflicts.len(), 2);
}

#[tokio::test]
async fn a_missing_row_that_came_with_some_of_its_columns_pauses_even_when_the_source_wins() {
    let (bed, mut target) = altered("partial").await;
    target.set_conflict_policy(policy(OnConflict::SourceWins, Check::Key));
    let image = |id, v, present: u8| peer::core::image::Image {
        row: row(id, v),
        present: vec![present].into(),
    };
    let partial = |id| Change::Partial {
        shape: ShapeId(0),
        before: image(id, 0, 1),
        after: Some(image(0, 5, 2)),
    };
    let error = target
        .apply_group(&bed.group(12, vec![partial(1), partial(9)]))
        .await
        .expect_err("cannot be made");
    assert_eq!(mismatch(&error).1, "(9)");
    assert!(error.to_string().contains(&format!("{SOURCE_UUID}:12")), "{error}");
    assert_eq!(bed.rows().await[&1], 1, "nothing of the transaction is there");
    let found: Vec<_> = records(&bed).await.conflicts.iter().map(summary).collect();
    assert_eq!(found, [told("missing", "(9)", "paused")]);
    target.apply_group(&bed.group(12, vec![partial(1)])).await.expect("applied");
    assert_eq!(bed.rows().await[&1], 5);
}

#[tokio::test]
async fn only_the_newest_records_are_kept_and_the_others_are_counted() {
    let (bed, mut target) = altered("many").await;
    target.set_conflict_policy(policy(OnConflict::TargetWins, Check::Key));
    let changes = (1000..1250).map(|id| delete(id, 1)).collect();
    target.apply_group(&bed.group(12, changes)).await.expect("decided");
    target
        .apply_group(&bed.group(13, vec![delete(2000, 1)]))
        .await
        .expect("decided");
    let list = records(&bed).await;
    assert_eq!((list.total, list.pruned, list.conflicts.len()), (251, 151, 100));
    assert_eq!(
        (list.conflicts[0].key.as_str(), list.conflicts[1].key.as_str()),
        ("(2000)", "(1249)")
    );
}

#[tokio::test]
async fn a_row_the_target_refuses_names_its_transaction() {
    let (bed, mut target) = altered("refused").await;
    run(&bed, "ALTER TABLE S.t ADD CONSTRAINT small CHECK (v < 100)").await;
    let shapes = [bed.shape()];
    let error = target
        .apply_group(&group(&shapes, 12, vec![vec![insert(20, 1)], vec![insert(21, 500)]]))
        .await
        .expect_err("refused");
    assert!(
        matches!(&error, Error::InTransaction { gtid, .. } if *gtid == format!("{SOURCE_UUID}:13")),
        "{error}"
    );
    assert!(error.fix().contains("peer skip JOB"), "{}", error.fix());
    assert_eq!(target.progress().executed, gtids("1-12"), "what was before it is there");
}

#[tokio::test]
async fn a_meta_schema_of_an_earlier_version_gets_the_columns_it_lacks() {
    let bed = Bed::new("older").await;
    bed.acquire("a").await.close().await;
    let drop = [
        "at",
        "gtid",
        "binlog_file",
        "binlog_pos",
        "row_key",
        "decision",
        "author",
        "reason",
    ];
    let drop = drop.map(|column| format!("DROP COLUMN {column}")).join(", ");
    bed.meta(&format!("ALTER TABLE META.conflict {drop}")).await;
    assert_eq!(
        records(&bed).await,
        ConflictList::default(),
        "nothing could be recorded there"
    );
    let mut target = bed.acquire("b").await;
    target
        .start(&gtids("1-10"), SOURCE_UUID, vec![bed.shape()], &[])
        .await
        .expect("started");
    target
        .apply_group(&bed.group(11, vec![delete(9, 9)]))
        .await
        .expect_err("a conflict");
    assert_eq!(records(&bed).await.total, 1);
}
