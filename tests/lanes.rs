//! Groups that fly beside each other on a real target: they commit in order, or nothing of those behind a failure stays.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use peer::core::change::Change;
use peer::core::group::{Group, GroupLimits, Grouper};
use peer::core::ids::Seq;
use peer::core::shape::ShapeId;
use peer::mysql::error::Error;
use peer::mysql::target::writer::Target;

use support::servers::servers;
use support::target::{Bed, delete, gtids, insert, mismatch, part, update};

/// A group of one transaction, number `number`, that depends on no later one than `depends_on`.
fn group(bed: &Bed, number: u64, depends_on: i64, changes: Vec<Change>) -> Group {
    let mut grouper = Grouper::new(GroupLimits {
        transactions: 1,
        bytes: 1 << 30,
    });
    grouper.set_shape(ShapeId(0), bed.shape());
    let mut part = part(number, changes);
    (part.sequence_number, part.last_committed) = (i64::try_from(number).unwrap(), depends_on);
    grouper.push(part).unwrap();
    grouper.take()
}

/// Waits for everything that flies: the numbers it got.
async fn land(target: &mut Target) -> Result<Vec<Seq>, Error> {
    let mut seqs = Vec::new();
    while target.is_flying() {
        target.returned().await;
        seqs.extend(target.landed().await?.into_iter().map(|landing| landing.seq));
    }
    Ok(seqs)
}

/// Another client that holds the row of this id.
async fn holder(bed: &Bed, id: i32) -> Conn {
    let mut conn = servers().target.conn().await;
    let sql = format!("SELECT * FROM {}.t WHERE id = {id} FOR UPDATE", bed.schema.base);
    conn.query_drop("BEGIN").await.unwrap();
    conn.query_drop(sql).await.unwrap();
    conn
}

/// The value of row `id` as a reader of uncommitted changes sees it.
async fn dirty(bed: &Bed, id: i32) -> Option<i32> {
    let mut conn = servers().target.conn().await;
    conn.query_drop("SET SESSION transaction_isolation = 'READ-UNCOMMITTED'")
        .await
        .unwrap();
    let sql = format!("SELECT v FROM {}.t WHERE id = {id}", bed.schema.base);
    let value = conn.query_first(sql).await.unwrap();
    conn.disconnect().await.unwrap();
    value
}

async fn until_dirty(bed: &Bed, id: i32, value: i32) {
    for _ in 0..400 {
        if dirty(bed, id).await == Some(value) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("row {id} did not become {value}");
}

#[tokio::test]
async fn p2_a_group_that_ran_beside_an_earlier_one_commits_behind_it() {
    let bed = Bed::new("beside").await;
    let mut target = bed.started("a").await;
    target
        .apply_group(&bed.group(11, vec![insert(1, 0), insert(2, 0)]))
        .await
        .unwrap();
    let mut blocked = holder(&bed, 1).await;
    target.launch(group(&bed, 12, 11, vec![update(1, 0, 1)])).await.unwrap();
    target.launch(group(&bed, 13, 11, vec![update(2, 0, 1)])).await.unwrap();
    until_dirty(&bed, 2, 1).await;
    assert_eq!(bed.rows().await, [(1, 0), (2, 0)].into(), "the later one has run and waits");
    blocked.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(land(&mut target).await.unwrap(), [Seq(3), Seq(4)]);
    assert_eq!(bed.rows().await, [(1, 1), (2, 1)].into());
    assert_eq!(target.progress().executed, gtids("1-13"));
    target.release().await.unwrap();
    assert_eq!(bed.acquire("b").await.progress().executed, gtids("1-13"));
}

#[tokio::test]
async fn groups_that_depend_on_each_other_end_as_on_the_source() {
    let bed = Bed::new("chain").await;
    let mut target = bed.started("a").await;
    target
        .apply_group(&bed.group(11, vec![insert(1, 0), insert(2, 0)]))
        .await
        .unwrap();
    for step in 0..60 {
        while !target.has_free_lane() {
            target.returned().await;
            assert_eq!(target.landed().await.unwrap().len(), 1, "nothing is applied twice");
        }
        let number = 12 + u64::try_from(step).unwrap();
        let depends_on = i64::try_from(number).unwrap() - 1;
        let changes = match step % 3 {
            0 => vec![update(1, step, step + 1), delete(2, 0)],
            1 => vec![update(1, step, step + 1), insert(2, step)],
            _ => vec![update(1, step, step + 1), update(2, step - 1, 0)],
        };
        target.launch(group(&bed, number, depends_on, changes)).await.unwrap();
    }
    land(&mut target).await.unwrap();
    assert_eq!(bed.rows().await, [(1, 60), (2, 0)].into());
    assert_eq!((target.progress().seq, target.conflicts()), (Seq(62), 0));
}

#[tokio::test]
async fn p1_a_row_that_is_missing_stops_its_group_and_all_behind_it() {
    let bed = Bed::new("missing").await;
    let mut target = bed.started("a").await;
    target.launch(group(&bed, 11, 0, vec![insert(1, 1)])).await.unwrap();
    target.launch(group(&bed, 12, 0, vec![update(9, 0, 1)])).await.unwrap();
    target.launch(group(&bed, 13, 0, vec![insert(3, 3)])).await.unwrap();
    let error = land(&mut target).await.expect_err("refused");
    assert_eq!(mismatch(&error), ("update expected the row, found none (missing)", "(9)"));
    assert_eq!(bed.rows().await, [(1, 1)].into());
    assert_eq!(bed.acquire("b").await.progress().executed, gtids("1-11"));
}

#[tokio::test]
async fn p1_what_fails_only_beside_another_is_applied_behind_it() {
    let bed = Bed::new("early").await;
    let mut target = bed.started("a").await;
    target.apply_group(&bed.group(11, vec![insert(1, 0)])).await.unwrap();
    let mut blocked = holder(&bed, 1).await;
    target
        .launch(group(&bed, 12, 0, vec![update(1, 0, 1), insert(5, 5)]))
        .await
        .unwrap();
    // The numbers say that it may run beside the other, and it finds no row 5.
    target.launch(group(&bed, 13, 0, vec![update(5, 5, 6)])).await.unwrap();
    target.launch(group(&bed, 14, 13, vec![update(5, 6, 7)])).await.unwrap();
    tokio::time::timeout(Duration::from_millis(200), target.returned())
        .await
        .expect_err("the first one is blocked");
    blocked.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(land(&mut target).await.unwrap(), [Seq(3), Seq(4), Seq(5)]);
    assert_eq!(bed.rows().await, [(1, 1), (5, 7)].into());
    assert_eq!(target.conflicts(), 0);
}

#[tokio::test]
async fn p4_a_new_owner_ends_groups_that_fly() {
    let bed = Bed::new("fenced").await;
    let mut target = bed.started("a").await;
    target
        .apply_group(&bed.group(11, vec![insert(1, 0), insert(2, 0)]))
        .await
        .unwrap();
    let mut blocked = holder(&bed, 1).await;
    target.launch(group(&bed, 12, 0, vec![update(1, 0, 1)])).await.unwrap();
    target.launch(group(&bed, 13, 0, vec![update(2, 0, 1)])).await.unwrap();
    until_dirty(&bed, 2, 1).await;
    let newer = bed.acquire("b").await;
    land(&mut target).await.expect_err("it is not the owner any more");
    blocked.query_drop("ROLLBACK").await.unwrap();
    assert_eq!(newer.progress().executed, gtids("1-11"));
    assert_eq!(bed.rows().await, [(1, 0), (2, 0)].into());
    assert_eq!(dirty(&bed, 2).await, Some(0), "nothing of it is left");
}

#[tokio::test]
async fn connections_that_nothing_flies_on_are_closed_and_forgotten() {
    let bed = Bed::new("idle").await;
    let mut target = bed.started("a").await;
    target.launch(group(&bed, 11, 0, vec![insert(1, 1)])).await.unwrap();
    target.launch(group(&bed, 12, 0, vec![insert(2, 1)])).await.unwrap();
    land(&mut target).await.unwrap();
    let registered = format!("SELECT COUNT(*) FROM {}.session", bed.schema.meta);
    assert_eq!(servers().target.number(&registered).await, 3);
    tokio::time::sleep(Duration::from_millis(5_100)).await;
    target.close_idle_lanes().await.unwrap();
    assert_eq!(servers().target.number(&registered).await, 1);
    target.launch(group(&bed, 13, 0, vec![insert(3, 1)])).await.unwrap();
    assert_eq!(land(&mut target).await.unwrap(), [Seq(4)]);
}
