//! Chunks executed beside each other on a real target: committed in order, by the owner only, with their progress or not at all.

mod support;

use peer::core::change::{Chunk, CopyPlan, Key};
use peer::core::group::Group;
use peer::core::ids::Seq;
use peer::core::shape::ShapeId;
use peer::mysql::error::Error;
use peer::mysql::target::copy_lane::CopyLane;
use peer::mysql::target::writer::Target;

use support::servers::servers;
use support::target::{Bed, SOURCE_UUID, gtids, mismatch, row};

/// Acquired and started, with a copy of the table to come.
async fn copying(bed: &Bed) -> Target {
    let mut target = bed.acquire("a").await;
    let plan = CopyPlan {
        shape: ShapeId(0),
        rows_estimate: None,
    };
    let started = target.start(&gtids("1-10"), SOURCE_UUID, vec![bed.shape()], &[plan]).await;
    started.expect("started");
    target
}

fn key(id: i32) -> Key {
    Key(vec![id.to_le_bytes().to_vec()])
}

/// Rows with the keys behind `low` up to `high`.
fn chunk(low: i32, high: i32) -> Chunk {
    Chunk {
        shape: ShapeId(0),
        low: (low > 0).then(|| key(low)),
        high: Some(key(high)),
        rows: (low + 1..=high).map(|id| row(id, id)).collect(),
        is_last: false,
    }
}

async fn executed(target: &mut Target, chunk: &Chunk) -> CopyLane {
    let table = target.chunk_table(chunk.shape).expect("named");
    let mut lane = target.take_lane().await.expect("a lane");
    assert!(lane.execute(&table, chunk).await.expect("a connection"), "refused");
    lane
}

async fn sessions(bed: &Bed) -> usize {
    let sql = format!("SELECT conn_id FROM {}.session", bed.schema.meta);
    let mut conn = servers().target.conn().await;
    let found: Vec<u64> = mysql_async::prelude::Queryable::query(&mut conn, sql).await.expect("rows");
    found.len()
}

#[tokio::test]
async fn chunks_executed_in_any_order_are_committed_in_theirs() {
    let bed = Bed::new("lanes").await;
    let mut target = copying(&bed).await;
    let (first, second) = (chunk(0, 6_000), chunk(6_000, 6_002));
    let mut later = executed(&mut target, &second).await;
    let mut sooner = executed(&mut target, &first).await;
    assert!(bed.rows().await.is_empty(), "rows were visible before their turn");
    let passed = Group {
        added: gtids("11"),
        ..Group::default()
    };
    let seq = target
        .commit_chunk(&mut sooner, &first, Some(&passed))
        .await
        .expect("committed");
    assert_eq!(seq, Some(Seq(2)));
    assert_eq!(bed.rows().await.len(), 6_000);
    let seq = target.commit_chunk(&mut later, &second, None).await.expect("committed");
    assert_eq!(seq, Some(Seq(3)));
    assert_eq!(bed.rows().await.len(), 6_002);
    target.close().await;

    let (_, progress) = Target::acquire(&bed.sink, bed.request("b")).await.expect("acquired");
    let copied = &progress.copy[0];
    assert_eq!(
        (copied.rows, copied.cursor.clone(), copied.is_done),
        (6_002, Some(key(6_002)), false)
    );
    assert_eq!(progress.executed, gtids("1-11"));
}

#[tokio::test]
async fn a_chunk_whose_owner_was_replaced_is_never_committed() {
    let bed = Bed::new("lanes_fence").await;
    let mut target = copying(&bed).await;
    let chunk = chunk(0, 10);
    let mut lane = executed(&mut target, &chunk).await;
    bed.meta("UPDATE META.fence SET epoch = epoch + 1").await;
    let error = target.commit_chunk(&mut lane, &chunk, None).await.expect_err("lost");
    assert!(matches!(error, Error::FenceLost { .. }), "{error:?}");
    assert!(bed.rows().await.is_empty());
}

#[tokio::test]
async fn a_new_owner_ends_the_lanes_of_the_one_before() {
    let bed = Bed::new("lanes_owner").await;
    let mut target = copying(&bed).await;
    let chunk = chunk(0, 10);
    let mut lane = executed(&mut target, &chunk).await;
    let mut next = bed.acquire("b").await;
    assert!(lane.ping().await.is_err(), "the lane of the earlier owner still answers");
    // Its locks are gone with it: nothing is in the way of the same chunk.
    next.apply_chunk(&chunk).await.expect("applied");
    assert_eq!(bed.rows().await.len(), 10);
}

#[tokio::test]
async fn a_refused_chunk_leaves_nothing_and_is_a_conflict_when_it_goes_alone() {
    let bed = Bed::new("lanes_refused").await;
    let mut target = copying(&bed).await;
    let stray = format!("INSERT INTO {}.t VALUES (7, 700)", bed.schema.base);
    servers().target.run(&[&stray]).await;
    let chunk = chunk(0, 10);
    let table = target.chunk_table(chunk.shape).expect("named");
    let mut lane = target.take_lane().await.expect("a lane");
    assert!(
        !lane.execute(&table, &chunk).await.expect("a connection"),
        "a row that is there was written"
    );
    assert_eq!(bed.rows().await.len(), 1);
    target.give_lane_back(lane);
    let error = target.apply_chunk(&chunk).await.expect_err("a conflict");
    assert_eq!(mismatch(&error).1, "(7)");
}

#[tokio::test]
async fn lanes_are_used_again_and_forgotten_at_the_end_of_the_copy() {
    let bed = Bed::new("lanes_end").await;
    let mut target = copying(&bed).await;
    let before = sessions(&bed).await;
    for at in 0..3 {
        let chunk = chunk(at * 10, at * 10 + 10);
        let mut lane = executed(&mut target, &chunk).await;
        target.commit_chunk(&mut lane, &chunk, None).await.expect("committed");
        target.give_lane_back(lane);
    }
    assert_eq!(sessions(&bed).await, before + 1);
    target.end_lanes().await.expect("ended");
    assert_eq!(sessions(&bed).await, before);
}
