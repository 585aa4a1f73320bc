//! What the store does when a disk fails in one certain way.

use crate::disk::{open_on, options, raw};
use crate::sample::{TENANT, grow, id, rows, set};
use everloop_store::error::StoreError;
use everloop_store::port::Reserve as _;
use everloop_store::suite::Harness;
use everloop_store::work::{Row, WriteSet};
use everloop_store_sql::faults::{Disk, Fault, Kind, Plan, When};
use everloop_store_sql::{CheckpointOptions, SqliteOptions};
use everloop_types::state::State;
use std::path::Path;

/// The writer moves the log after a commit, from so many pages on.
fn moved_from(disk: &Disk, start_pages: i32) -> SqliteOptions {
    let checkpoints = CheckpointOptions { thread: false, start_pages, bound_pages: 16_000 };
    SqliteOptions { checkpoints, ..options(disk) }
}

fn has_events(h: &Harness, tasks: std::ops::Range<u64>) -> bool {
    h.reader.feed(TENANT, 0, 1_000).unwrap().len() as u64 == 4 * (tasks.end - tasks.start)
        && tasks.into_iter().all(|n| h.reader.task(TENANT, id(n)).unwrap().is_some())
}

/// While somebody reads, a part of the log is moved without SQLite's own sync. If ours fails, nothing may rest on that part:
/// not even a process that ends in order may take the log away.
#[test]
fn log_stays_when_the_sync_of_the_database_failed() {
    for seed in 0..20 {
        let disk = Disk::new(seed);
        let mut h = open_on(moved_from(&disk, 80)).unwrap();
        let grown = |n| grow(n, 0, 4, State::Running, Vec::new());
        h.commit(&set((0..40).map(grown).collect())).unwrap();
        let reader = raw(&disk);
        reader.execute_batch("BEGIN; SELECT count(*) FROM event").unwrap();
        disk.plan(Plan::none().with(Fault::SyncFails, Some(Kind::Database), When::After(1)));
        let committed = (40..100).find(|n| {
            h.commit(&set(vec![grown(*n)])).unwrap();
            disk.counts().faults == 1
        });
        let committed = committed.unwrap() + 1;
        let more = h.commit(&set(vec![grown(committed)]));
        assert!(matches!(more, Err(StoreError::Failed(_))), "{more:?}");
        disk.plan(Plan::none());
        let log = disk.len_of(Path::new("everloop.db-wal"));
        drop(reader);
        drop(h);
        let left = disk.len_of(Path::new("everloop.db-wal"));
        disk.cut();
        let h = open_on(moved_from(&disk, 80)).unwrap();
        assert!(
            disk.len_of(Path::new("everloop.db-wal")) < Some(10_000),
            "the start has moved all but its own write"
        );
        assert!(has_events(&h, 0..committed), "seed {seed}");
        assert_eq!(left, log, "the log was as it was");
        assert_eq!(raw(&disk).query_row("PRAGMA integrity_check", [], |row| row.get(0)), Ok("ok".to_owned()));
    }
}

/// The same with the thread that moves the log beside the writer, wherever the two happen to be.
#[test]
fn failed_sync_beside_the_writer_takes_nothing_that_was_answered() {
    for seed in 0..16 {
        let disk = Disk::new(seed);
        let checkpoints = CheckpointOptions { thread: true, start_pages: 10, bound_pages: 200 };
        let in_thread = || SqliteOptions { checkpoints, ..options(&disk) };
        let mut h = open_on(in_thread()).unwrap();
        disk.plan(Plan::none().with(Fault::SyncFails, Some(Kind::Database), When::After(seed)));
        let failed = (0..5_000).find(|n| {
            let commit = h.commit(&set(vec![grow(*n, 0, 4, State::Running, Vec::new())]));
            assert!(matches!(commit, Ok(_) | Err(StoreError::Failed(_))), "{commit:?}");
            commit.is_err()
        });
        let answered = failed.expect("the sync fails while commits go on");
        drop(h);
        disk.cut();
        let h = open_on(in_thread()).unwrap();
        let found = h.reader.feed(TENANT, 0, 100_000).unwrap().len() as u64;
        assert!(found == 4 * answered, "seed {seed}: {found} events of {answered} tasks");
        assert_eq!(raw(&disk).query_row("PRAGMA integrity_check", [], |row| row.get(0)), Ok("ok".to_owned()));
    }
}

/// The sync of a commit fails, and the process is killed: the next one reads the whole log, though a part of it is not on the
/// disk. What it then moves into the database must not meet the shorter log when the power goes.
#[test]
fn log_whose_sync_failed_is_written_again_before_it_is_trusted() {
    let mut there = 0;
    for seed in 0..60 {
        let disk = Disk::new(seed);
        let mut h = open_on(moved_from(&disk, 1_000)).unwrap();
        let grown = |n| grow(n, 0, 4, State::Running, Vec::new());
        h.commit(&set((0..10).map(grown).collect())).unwrap();
        disk.plan(Plan::none().with(Fault::SyncFails, Some(Kind::Log), When::After(0)));
        let failed = h.commit(&set((10..40).map(grown).collect()));
        assert!(matches!(failed, Err(StoreError::Failed(_))), "{failed:?}");
        disk.kill();
        drop(h);
        disk.plan(Plan::cut_after(seed % 30));
        let before = open_on(moved_from(&disk, 1_000)).map(|h| has_events(&h, 0..40));
        disk.cut();
        let h = open_on(moved_from(&disk, 1_000)).unwrap();
        let whole = has_events(&h, 0..40);
        assert!(whole || has_events(&h, 0..10), "seed {seed}");
        assert!(whole || !matches!(before, Ok(true)), "seed {seed}: what was seen is gone");
        assert_eq!(raw(&disk).query_row("PRAGMA integrity_check", [], |row| row.get(0)), Ok("ok".to_owned()));
        there += usize::from(whole);
    }
    assert!(there > 10 && there < 60, "{there}");
}

/// The last write of a commit may be done although it failed. The next process must not take it for committed, if it was
/// answered as not done.
#[test]
fn commit_that_was_refused_is_not_there_after_a_crash() {
    let (mut refused, mut unknown, mut there) = (0, 0, 0);
    for seed in 0..320 {
        let disk = Disk::new(seed);
        let mut h = open_on(moved_from(&disk, 1_000)).unwrap();
        let grown = |n| set(vec![grow(n, 0, 4, State::Running, Vec::new())]);
        h.commit(&grown(0)).unwrap();
        let write = seed % 16;
        let mut plan = Plan::none().with(Fault::WriteFails, Some(Kind::Log), When::After(write));
        if seed % 5 == 0 {
            // What is to take its place fails too.
            plan = plan.with(Fault::WriteFails, Some(Kind::Log), When::After(write + 1));
        }
        disk.plan(plan);
        let answer = h.commit(&grown(1));
        disk.kill();
        drop(h);
        let h = open_on(moved_from(&disk, 1_000)).unwrap();
        let is_there = has_events(&h, 0..2);
        assert!(is_there || has_events(&h, 0..1), "seed {seed}: half of it is there");
        match answer {
            Ok(_) => assert!(is_there, "seed {seed}"),
            Err(StoreError::Unavailable(_)) => {
                refused += 1;
                assert!(!is_there, "seed {seed}: it was refused");
            }
            Err(StoreError::Unknown(_)) => {
                unknown += 1;
                there += usize::from(is_there);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(refused > 20 && unknown > 5 && there > 0, "{refused} {unknown} {there}");
}

/// A new file is given its log by a write of its own. Where that fails the store is not opened without a log.
#[test]
fn store_never_runs_without_its_log() {
    let mut refused = 0;
    for write in 0..12 {
        let disk = Disk::new(write);
        disk.plan(Plan::none().with(Fault::WriteFails, None, When::After(write)));
        match open_on(moved_from(&disk, 1_000)) {
            Err(error) => {
                refused += 1;
                assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            }
            Ok(mut h) => {
                h.commit(&set(vec![grow(0, 0, 4, State::Running, Vec::new())])).unwrap();
                assert!(disk.len_of(Path::new("everloop.db-wal")) > Some(0), "write {write}");
            }
        }
        disk.kill();
        open_on(moved_from(&disk, 1_000)).unwrap();
    }
    assert!(refused > 6, "{refused}");
}

/// Making the file smaller is a write like any other.
#[test]
fn sync_that_fails_while_idle_ends_all_writing() {
    let disk = Disk::new(1);
    let mut h = open_on(moved_from(&disk, 1_000)).unwrap();
    for n in 0..10 {
        let batch = (n * 500..(n + 1) * 500).map(|n| grow(n, 0, 4, State::Completed, Vec::new())).collect();
        h.commit(&set(batch)).unwrap();
    }
    let at = crate::sample::task(0, State::Completed).updated_at;
    let gone = (0..5_000).map(|n| Row::StreamDelete { tenant: TENANT, task: id(n), at }).collect();
    h.commit(&rows(gone)).unwrap();
    disk.plan(Plan::none().with(Fault::SyncFails, Some(Kind::Log), When::After(0)));
    let idle = h.writer.idle();
    assert!(matches!(idle, Err(StoreError::Failed(_))), "{idle:?}");
    let commit = h.commit(&WriteSet::default());
    assert!(matches!(commit, Err(StoreError::Failed(_))), "{commit:?}");
}

#[test]
fn full_disk_refuses_commits_and_takes_them_once_there_is_space() {
    let disk = Disk::new(1);
    let mut h = open_on(moved_from(&disk, 20)).unwrap();
    h.commit(&set(vec![grow(0, 0, 4, State::Running, Vec::new())])).unwrap();
    let taken =
        disk.len_of(Path::new("everloop.db")).unwrap() + disk.len_of(Path::new("everloop.db-wal")).unwrap();
    disk.limit_space(Some(taken + 30_000));
    let big = || set((1..40).map(|n| grow(n, 0, 4, State::Running, Vec::new())).collect());
    for _ in 0..3 {
        let refused = h.commit(&big());
        assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
        assert!(has_events(&h, 0..1));
    }
    disk.limit_space(None);
    h.commit(&big()).unwrap();
    assert!(has_events(&h, 0..40));
    drop(h);
    disk.cut();
    assert!(has_events(&open_on(moved_from(&disk, 20)).unwrap(), 0..40));
}

/// The reserve takes up the space that it gives back.
#[test]
fn reserve_on_a_full_disk_is_refused_and_helps_when_given_up() {
    let disk = Disk::new(1);
    let opened = everloop_store_sql::open_sqlite(&options(&disk), &crate::engines::birth()).unwrap();
    let (mut writer, reserve) = (opened.writer, opened.reserve.unwrap());
    reserve.hold().unwrap();
    reserve.hold().unwrap();
    assert_eq!(disk.len_of(Path::new("everloop.db.reserve")), Some(4 * 1024 * 1024));
    let files = ["everloop.db", "everloop.db-wal", "everloop.db.reserve"];
    disk.limit_space(Some(files.iter().filter_map(|name| disk.len_of(Path::new(name))).sum()));
    let commit = set(vec![grow(0, 0, 4, State::Running, Vec::new())]);
    assert!(matches!(writer.commit(&commit), Err(StoreError::Full(_))));
    reserve.release().unwrap();
    writer.commit(&commit).unwrap();
}

/// What is read is not what was written: the store says so, or the chain of the events does.
#[test]
fn bytes_that_changed_are_never_taken_for_a_history() {
    let (mut seen, mut unseen) = (0, 0);
    for seed in 0..40 {
        let disk = Disk::new(seed);
        let mut h = open_on(moved_from(&disk, 1_000)).unwrap();
        h.commit(&set((0..20).map(|n| grow(n, 0, 4, State::Running, Vec::new())).collect())).unwrap();
        drop(h);
        let fault =
            [Fault::ReadFails, Fault::ReadShort, Fault::ReadFlipped, Fault::ReadMisplaced][seed as usize % 4];
        disk.plan(Plan::none().with(fault, Some(Kind::Database), When::Chance(30)));
        let read = open_on(moved_from(&disk, 1_000)).and_then(|h| h.reader.feed(TENANT, 0, 1_000));
        let expected = || (0..20).flat_map(|n| grow(n, 0, 4, State::Running, Vec::new()).events);
        match read {
            Ok(page) if page.iter().map(|at| &at.event).eq(&expected().collect::<Vec<_>>()) => unseen += 1,
            Ok(_) | Err(_) => seen += 1,
        }
    }
    assert!(seen > 10 && seen + unseen == 40, "{seen} {unseen}");
}
