//! Each refusal of PROTOCOLS 2 against a real server: whoever is not the newest owner, at the right number, commits nothing.

mod support;

use std::time::{Duration, Instant};

use peer::core::disposition::Disposition;
use peer::core::ids::{Epoch, Incarnation, JobId, Life, NodeId, Seq, SourceEpoch};
use peer::mysql::error::Error;
use peer::mysql::target::purge::{adopt, earlier, purge, read_fence, shut_out};
use peer::mysql::target::writer::Target;

use support::servers::servers;
use support::target::{Bed, delete, gtids, insert, mismatch, update};

#[tokio::test]
async fn the_epoch_grows_with_every_owner_and_beyond_any_seen() {
    let bed = Bed::new("epoch").await;
    let first = bed.acquire("a").await;
    assert_eq!(first.epoch(), Epoch(1));
    first.close().await;
    assert_eq!(bed.acquire("b").await.epoch(), Epoch(2));
    let mut request = bed.request("c");
    request.epoch_seen = Epoch(40);
    let (third, _) = Target::acquire(&bed.sink, request).await.expect("acquired");
    assert_eq!(third.epoch(), Epoch(41));
}

#[tokio::test]
async fn a_wrong_epoch_commits_nothing() {
    let bed = Bed::new("wrong_epoch").await;
    let mut target = bed.started("a").await;
    bed.meta("UPDATE META.fence SET epoch = epoch + 1").await;
    let error = target
        .apply_group(&bed.group(11, vec![insert(1, 1)]))
        .await
        .expect_err("lost");
    assert!(
        matches!(
            error,
            Error::FenceLost {
                held: Epoch(1),
                found: Some(Epoch(2))
            }
        ),
        "{error:?}"
    );
    assert_eq!(error.disposition(), Disposition::Superseded);
    assert!(bed.rows().await.is_empty());
}

#[tokio::test]
async fn a_wrong_sequence_commits_nothing() {
    let bed = Bed::new("wrong_seq").await;
    let mut target = bed.started("a").await;
    bed.meta("UPDATE META.progress SET seq = 7").await;
    let error = target
        .apply_group(&bed.group(11, vec![insert(1, 1)]))
        .await
        .expect_err("refused");
    assert!(matches!(error, Error::WrongPredecessor { .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Retry);
    assert!(bed.rows().await.is_empty());
}

#[tokio::test]
async fn a_missing_fence_row_commits_nothing() {
    let bed = Bed::new("no_fence").await;
    let mut target = bed.started("a").await;
    bed.meta("DELETE FROM META.fence").await;
    let error = target
        .apply_group(&bed.group(11, vec![insert(1, 1)]))
        .await
        .expect_err("refused");
    assert!(matches!(error, Error::FenceLost { found: None, .. }), "{error:?}");
    assert!(bed.rows().await.is_empty());
}

#[tokio::test]
async fn a_missing_progress_row_is_never_made_anew_by_a_group() {
    let bed = Bed::new("no_progress").await;
    let mut target = bed.started("a").await;
    bed.meta("DELETE FROM META.progress").await;
    let error = target
        .apply_group(&bed.group(11, vec![insert(1, 1)]))
        .await
        .expect_err("refused");
    assert!(matches!(error, Error::WrongPredecessor { .. }), "{error:?}");
    assert!(bed.rows().await.is_empty());
}

#[tokio::test]
async fn a_wrong_count_commits_nothing_and_names_the_key() {
    let bed = Bed::new("count").await;
    let mut target = bed.started("a").await;
    let seq = target
        .apply_group(&bed.group(11, vec![insert(1, 1), insert(2, 1)]))
        .await
        .expect("applied");
    assert_eq!(seq, Seq(2));
    for (change, found) in [
        (delete(3, 1), "delete"),
        (update(4, 1, 2), "update"),
        (insert(2, 5), "insert"),
    ] {
        let error = target
            .apply_group(&bed.group(12, vec![update(1, 1, 9), change]))
            .await
            .expect_err("refused");
        let (expectation, key) = mismatch(&error);
        assert!(expectation.starts_with(found), "{expectation}");
        assert!(["(2)", "(3)", "(4)"].contains(&key), "{key}");
        assert_eq!(bed.rows().await, [(1, 1), (2, 1)].into());
    }
    assert_eq!(
        target
            .apply_group(&bed.group(12, vec![update(1, 1, 2)]))
            .await
            .expect("applied"),
        Seq(6),
        "each record of a conflict is a commit of its own"
    );
    assert_eq!(bed.rows().await, [(1, 2), (2, 1)].into());
}

#[tokio::test]
async fn an_update_that_finds_its_row_changed_already_is_a_wrong_count() {
    let bed = Bed::new("unchanged").await;
    let mut target = bed.started("a").await;
    target.apply_group(&bed.group(11, vec![insert(1, 2)])).await.expect("applied");
    let error = target
        .apply_group(&bed.group(12, vec![update(1, 1, 2)]))
        .await
        .expect_err("refused");
    assert_eq!(mismatch(&error).1, "(1)");
}

#[tokio::test]
async fn the_guard_of_a_following_packet_raises_before_the_commit() {
    let bed = Bed::new("guard").await;
    let mut target = bed.started("a").await;
    let error = target
        .apply_group(&bed.group(11, vec![insert(1, 1), delete(2, 2)]))
        .await
        .expect_err("refused");
    assert!(mismatch(&error).0.starts_with("delete"));
    assert!(bed.rows().await.is_empty(), "the insert beside it is not committed");
    let number = servers()
        .target
        .number(&format!("SELECT seq FROM {}.progress", bed.schema.meta))
        .await;
    assert_eq!(number, 2, "the record of the conflict, and nothing else");
}

#[tokio::test]
async fn after_a_connection_killed_in_its_turn_progress_tells_what_landed() {
    let bed = Bed::new("killed").await;
    let mut target = bed.started("a").await;
    let server = servers().target;
    let mut blocker = server.conn().await;
    let lock = format!("BEGIN; SELECT epoch FROM {}.fence FOR UPDATE", bed.schema.meta);
    mysql_async::prelude::Queryable::query_drop(&mut blocker, lock)
        .await
        .expect("locked");
    let group = bed.group(11, vec![insert(1, 1)]);
    let turn = tokio::spawn(async move { target.apply_group(&group).await });
    let waiting = format!(
        "SELECT COUNT(*) FROM information_schema.processlist p JOIN {}.session s ON s.conn_id = p.id WHERE p.command = 'Query'",
        bed.schema.meta
    );
    support::wait::until_async("the turn to wait for the fence", Duration::from_secs(5), || async {
        (server.number(&waiting).await == 1).then_some(())
    })
    .await;
    let victim = server
        .number(&format!("SELECT conn_id FROM {}.session", bed.schema.meta))
        .await;
    server.run(&[&format!("KILL {victim}")]).await;
    let error = turn.await.expect("no panic").expect_err("killed");
    assert!(error.is_connection_gone(), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Retry);
    drop(blocker);
    let mut again = bed.acquire("a").await;
    assert_eq!(again.progress().seq, Seq(1));
    assert_eq!(
        again.apply_group(&bed.group(11, vec![insert(1, 1)])).await.expect("applied"),
        Seq(2)
    );
    assert_eq!(bed.rows().await, [(1, 1)].into());
}

#[tokio::test]
async fn a_takeover_ends_an_older_session_that_holds_locks() {
    let bed = Bed::new("takeover").await;
    let mut old = bed.started("a").await;
    old.apply_group(&bed.group(11, vec![insert(1, 1)])).await.expect("applied");
    old.large_begin().await.expect("begun");
    old.large_part(bed.group(12, vec![update(1, 1, 2)]).into())
        .await
        .expect("a part");
    old.large_landed().await.expect("it has run");
    let started = Instant::now();
    let mut new = bed.acquire("b").await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    new.apply_group(&bed.group(12, vec![update(1, 1, 3)]))
        .await
        .expect("the lock is gone");
    let error = old.large_commit(bed.group(12, vec![]).into()).await.expect_err("ended");
    assert!(error.is_connection_gone(), "{error:?}");
    assert_eq!(bed.rows().await, [(1, 3)].into());
}

#[tokio::test]
async fn a_takeover_is_not_held_up_by_a_session_that_holds_the_fence() {
    let bed = Bed::new("holds_fence").await;
    let old = bed.started("a").await;
    // The old owner's session stops between its turn statement and its COMMIT.
    let victim = servers()
        .target
        .number(&format!("SELECT conn_id FROM {}.session", bed.schema.meta))
        .await;
    let mut stuck = servers().target.conn().await;
    let lock = format!(
        "BEGIN; SELECT epoch FROM {0}.fence FOR SHARE; DO GET_LOCK('stuck', 0); UPDATE {0}.session SET conn_id = {1}",
        bed.schema.meta, victim
    );
    mysql_async::prelude::Queryable::query_drop(&mut stuck, lock)
        .await
        .expect("locked");
    mysql_async::prelude::Queryable::query_drop(&mut stuck, "COMMIT")
        .await
        .expect("committed");
    let name = "registered_as_stuck";
    let statements = [
        format!("DO GET_LOCK('{name}', 0)"),
        format!(
            "UPDATE {}.session SET conn_id = {}, lock_name = '{name}'",
            bed.schema.meta,
            stuck.id()
        ),
        format!("BEGIN; SELECT epoch FROM {}.fence FOR SHARE", bed.schema.meta),
    ];
    for statement in statements {
        mysql_async::prelude::Queryable::query_drop(&mut stuck, statement)
            .await
            .expect("holds the fence");
    }
    let new = bed.acquire("b").await;
    assert_eq!(new.epoch(), Epoch(2));
    drop(old);
}

#[tokio::test]
async fn of_racing_owners_only_the_newest_commits() {
    let bed = Bed::new("race").await;
    bed.started("first").await.release().await.expect("released");
    let racing = ["a", "b", "c", "d"].map(|owner| {
        let (sink, request) = (bed.sink.clone(), bed.request(owner));
        tokio::spawn(async move { Target::acquire(&sink, request).await })
    });
    let mut owners = Vec::new();
    for racer in racing {
        // An owner that was overtaken while it connected is told so or cut off; both are right.
        match racer.await.expect("no panic") {
            Ok((target, _)) => owners.push(target),
            Err(error) => assert!(
                matches!(error.disposition(), Disposition::Superseded | Disposition::Retry),
                "{error:?}"
            ),
        }
    }
    let newest = read_fence(&bed.sink, &bed.job).await.expect("read").expect("a row").epoch;
    let mut committed = Vec::new();
    for mut target in owners {
        if target.apply_group(&bed.group(11, vec![insert(1, 1)])).await.is_ok() {
            committed.push(target.epoch());
        }
    }
    assert_eq!(committed, [newest]);
    assert_eq!(newest, Epoch(5));
}

#[tokio::test]
async fn owners_that_race_for_a_target_nobody_had_end_quietly_but_one() {
    let bed = Bed::new("fresh").await;
    for round in 1..=8 {
        let racing = ["a", "b", "c", "d"].map(|owner| {
            let (sink, mut request) = (bed.sink.clone(), bed.request(owner));
            request.job.inc = Incarnation(round);
            tokio::spawn(async move { Target::acquire(&sink, request).await })
        });
        for racer in racing {
            if let Err(error) = racer.await.expect("no panic") {
                assert!(
                    matches!(error.disposition(), Disposition::Superseded | Disposition::Retry),
                    "{error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn progress_of_another_cluster_or_life_is_refused() {
    let bed = Bed::new("foreign").await;
    bed.started("a").await.release().await.expect("released");
    let mut other_cluster = bed.request("b");
    other_cluster.cluster_id = peer::core::ids::ClusterId("d".repeat(64));
    let mut other_life = bed.request("b");
    other_life.life = Life("2".repeat(32));
    for request in [other_cluster, other_life] {
        let error = Target::acquire(&bed.sink, request).await.expect_err("refused");
        let text = error.to_string();
        assert!(matches!(error, Error::ForeignProgress { .. }), "{error:?}");
        assert!(
            text.contains("the target holds progress of `orders`") && text.contains("peer purge --target"),
            "{text}"
        );
        assert_eq!(error.disposition(), Disposition::Fatal);
    }
    let row = read_fence(&bed.sink, &bed.job).await.expect("read").expect("a row");
    assert_eq!(row.epoch, Epoch(1), "a refusal takes nothing over");
}

#[tokio::test]
async fn a_released_job_has_no_owner_and_keeps_its_epoch() {
    let bed = Bed::new("release").await;
    let mut target = bed.started("a").await;
    target.beat().await.expect("beats");
    target
        .record_source(SourceEpoch(3), Some(&NodeId("far".into())))
        .await
        .expect("recorded");
    target.ping().await.expect("pings");
    let row = target.fence().await.expect("read").expect("a row");
    assert_eq!((row.owner, row.owner_name.as_str()), (Some(NodeId("a".into())), "a.example"));
    assert_eq!((row.src_epoch, row.source), (SourceEpoch(3), Some(NodeId("far".into()))));
    assert!(row.quiet.expect("a time") < Duration::from_secs(30));
    target.release().await.expect("released");
    let row = read_fence(&bed.sink, &bed.job).await.expect("read").expect("a row");
    assert_eq!((row.owner, row.epoch), (None, Epoch(1)));
}

#[tokio::test]
async fn the_next_owner_reads_what_the_last_one_committed() {
    let bed = Bed::new("resume").await;
    let mut target = bed.started("a").await;
    target.apply_group(&bed.group(11, vec![insert(1, 1)])).await.expect("applied");
    target
        .progress_only(&gtids("12-15"), Default::default(), 5)
        .await
        .expect("applied");
    target.close().await;
    let (_, progress) = Target::acquire(&bed.sink, bed.request("b")).await.expect("acquired");
    assert_eq!((progress.seq, progress.executed), (Seq(3), gtids("1-15")));
    assert_eq!(
        (progress.source_uuid.as_str(), progress.shapes),
        (support::target::SOURCE_UUID, vec![bed.shape()])
    );
}

#[tokio::test]
async fn a_purge_ends_the_owner_and_forgets_only_its_job() {
    let bed = Bed::new("purge").await;
    let mut target = bed.started("a").await;
    let other = JobId {
        inc: Incarnation(3),
        ..bed.job.clone()
    };
    let mut request = bed.request("a");
    request.job = other.clone();
    let (survivor, _) = Target::acquire(&bed.sink, request).await.expect("acquired");
    assert!(purge(&bed.sink, &bed.job).await.expect("purged"));
    assert!(!purge(&bed.sink, &bed.job).await.expect("nothing left"));
    assert!(target.apply_group(&bed.group(11, vec![insert(1, 1)])).await.is_err());
    assert!(bed.rows().await.is_empty());
    assert_eq!(read_fence(&bed.sink, &bed.job).await.expect("read"), None);
    assert!(read_fence(&bed.sink, &other).await.expect("read").is_some());
    survivor.close().await;
}

#[tokio::test]
async fn earlier_incarnations_are_those_of_this_cluster_below_the_asked_one() {
    let bed = Bed::new("earlier").await;
    let asked = |inc| {
        let mut request = bed.request("a");
        request.job.inc = Incarnation(inc);
        request
    };
    assert_eq!(earlier(&bed.sink, &asked(9)).await.expect("reached"), [], "no schema yet");
    for (inc, cluster) in [(1, "c"), (3, "d"), (5, "c"), (7, "c")] {
        let mut request = asked(inc);
        request.cluster_id = peer::core::ids::ClusterId(cluster.repeat(64));
        Target::acquire(&bed.sink, request).await.expect("acquired").0.close().await;
    }
    let found = earlier(&bed.sink, &asked(7)).await.expect("reached");
    let incs: Vec<u64> = found.iter().map(|(job, _)| job.inc.0).collect();
    assert_eq!(incs, [1, 5], "not the one asked about, and none of another cluster");
    assert!(found.iter().all(|(_, life)| *life == bed.request("a").life));
}

#[tokio::test]
async fn an_account_without_the_right_to_create_is_refused_for_good() {
    let bed = Bed::new("grant").await;
    let user = format!("u{}", std::process::id());
    servers()
        .target
        .run(&[&format!("CREATE USER IF NOT EXISTS {user} IDENTIFIED BY 'pw'")])
        .await;
    let mut sink = bed.sink.clone();
    sink.endpoint.user.clone_from(&user);
    sink.endpoint.password = peer::core::job_spec::Secret::Text("pw".into());
    let error = Target::acquire(&sink, bed.request("a")).await.expect_err("refused");
    sink.endpoint.password = peer::core::job_spec::Secret::Text("other".into());
    let wrong = Target::acquire(&sink, bed.request("a")).await.expect_err("refused");
    servers().target.run(&[&format!("DROP USER {user}")]).await;
    // Which grants exactly is what preflight tells before.
    assert_eq!((error.code(), error.disposition()), ("PEER1305", Disposition::Fatal));
    assert!(error.fix().contains("grant"), "{error:?}");
    assert_eq!((wrong.code(), wrong.disposition()), ("PEER1304", Disposition::Fatal));
}

#[tokio::test]
async fn a_fence_that_was_shut_ends_the_owner_and_takes_only_who_has_heard() {
    let bed = Bed::new("shut").await;
    let nobody = shut_out(&bed.sink, &bed.request("asked")).await.expect("reached");
    assert_eq!(nobody, None, "nobody ever wrote");
    let mut owner = bed.started("a").await;
    owner.apply_group(&bed.group(11, vec![insert(1, 1)])).await.expect("applied");
    let ended = shut_out(&bed.sink, &bed.request("asked"))
        .await
        .expect("reached")
        .expect("a row");
    assert_eq!((ended.before.epoch, ended.epoch), (Epoch(1), Epoch(2)));
    assert_eq!(ended.before.owner, Some(NodeId("a".into())));
    owner
        .apply_group(&bed.group(12, vec![insert(2, 1)]))
        .await
        .expect_err("its epoch is over");
    // The owner that did not hear of the stop comes back with what it knows: its own epoch.
    let mut deaf = bed.request("a");
    deaf.epoch_seen = Epoch(1);
    let error = Target::acquire(&bed.sink, deaf).await.expect_err("kept out");
    assert!(matches!(error, Error::FencedOut { epoch: Epoch(2), .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Superseded);
    assert_eq!(bed.rows().await, [(1, 1)].into());
    let mut heard = bed.request("b");
    heard.epoch_seen = Epoch(2);
    let (next, _) = Target::acquire(&bed.sink, heard).await.expect("after a resume");
    assert_eq!(next.epoch(), Epoch(3));
    assert_eq!(next.progress().seq, Seq(2));
}

#[tokio::test]
async fn adopted_progress_goes_on_and_its_old_owner_is_ended() {
    let bed = Bed::new("adopt").await;
    let mut theirs = bed.started("a").await;
    theirs.apply_group(&bed.group(11, vec![insert(1, 1)])).await.expect("applied");
    let mut ours = bed.request("b");
    ours.cluster_id = peer::core::ids::ClusterId("d".repeat(64));
    ours.life = Life("2".repeat(32));
    let foreign = shut_out(&bed.sink, &ours).await.expect_err("not ours to stop");
    assert!(matches!(foreign, Error::ForeignProgress { .. }), "{foreign:?}");
    let ended = adopt(&bed.sink, &ours).await.expect("reached").expect("a row");
    assert_eq!((ended.before.epoch, ended.epoch), (Epoch(1), Epoch(2)));
    assert_eq!(adopt(&bed.sink, &ours).await.expect("reached"), None, "it is ours now");
    theirs
        .apply_group(&bed.group(12, vec![insert(2, 1)]))
        .await
        .expect_err("its epoch is over");
    let mut target = Target::acquire(&bed.sink, ours).await.expect("adopted").0;
    assert_eq!((target.epoch(), target.progress().seq), (Epoch(3), Seq(2)));
    target.apply_group(&bed.group(12, vec![insert(3, 1)])).await.expect("goes on");
    assert_eq!(bed.rows().await, [(1, 1), (3, 1)].into());
    let back = Target::acquire(&bed.sink, bed.request("a")).await.expect_err("foreign now");
    assert!(matches!(back, Error::ForeignProgress { .. }), "{back:?}");
}
