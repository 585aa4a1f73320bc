//! The installation, its tenants, keys, workers and blobs.

use super::fixtures::{OURS, THEIRS, World, rows, streams};
use super::harness::{Harness, all_rows};
use crate::rows::{BlobRow, Installation, JobRow, KeyRow, SigningKeyRow};
use crate::work::{Row, Wanted};
use everloop_types::id::InstallationId;
use everloop_types::state::State;
use everloop_types::time::Timestamp;
use std::time::Duration;

/// A new database has its installation, keeps it, and shares it with no other one.
pub fn installation_is_made_once(h: Harness) {
    let first = h.reader.installation().unwrap();
    h.reader.ping().unwrap();
    assert_eq!(first.epoch, 0);
    assert_ne!(first.id.0, [0; 16]);
    let h = h.reopen();
    assert_eq!(h.reader.installation().unwrap(), first);
    assert_eq!(h.reader.tenants().unwrap(), []);
    assert_eq!(h.reader.signing_keys().unwrap(), []);
    assert_eq!(h.reader.workers().unwrap(), []);
}

/// Workers register, are heard from, and go.
pub fn workers_are_put_and_deleted(mut h: Harness) {
    let world = &mut World::new();
    let mut workers: Vec<_> = (0..3).map(|_| world.worker()).collect();
    // In another order than that of their age.
    for i in [2, 0, 1] {
        h.commit(&rows(vec![Row::WorkerPut(workers[i].clone())])).unwrap();
    }
    assert_eq!(h.reader.workers().unwrap(), workers);
    workers[1].last_heartbeat_at = world.tick();
    workers[1].trouble = Some("das Übliche".to_owned());
    workers[1].spec.capabilities.clear();
    h.commit(&rows(vec![Row::WorkerPut(workers[1].clone())])).unwrap();
    let gone = workers.remove(0);
    h.commit(&rows(vec![Row::WorkerDelete(gone.id), Row::WorkerDelete(gone.id)])).unwrap();
    let h = h.reopen();
    assert_eq!(h.reader.workers().unwrap(), workers);
    assert_eq!(h.reader.worker(workers[0].id).unwrap().as_ref(), Some(&workers[0]));
    assert_eq!(h.reader.worker(gone.id).unwrap(), None);
}

/// Tenants with their secrets, replaced by id.
pub fn tenants_are_put(mut h: Harness) {
    let world = &mut World::new();
    let mut tenants = [world.tenant(), world.tenant()];
    h.commit(&rows(tenants.iter().cloned().map(Row::TenantPut).collect())).unwrap();
    tenants[1].name = "renamed".to_owned();
    h.commit(&rows(vec![Row::TenantPut(tenants[1].clone())])).unwrap();
    let mut found = h.reopen().reader.tenants().unwrap();
    found.sort_by_key(|tenant| tenant.id);
    assert_eq!(found, tenants);
}

/// Public keys, oldest first; putting one again is no second one.
pub fn signing_keys_are_put(mut h: Harness) {
    let world = &mut World::new();
    let mut keys = ["z", "a", "m"].map(|kid| SigningKeyRow {
        kid: kid.repeat(43),
        public: world.tenant().secret,
        created_at: world.tick(),
    });
    for i in [1, 0, 2, 1] {
        h.commit(&rows(vec![Row::SigningKeyPut(keys[i].clone())])).unwrap();
    }
    keys.sort_by_key(|key| key.created_at);
    assert_eq!(h.reopen().reader.signing_keys().unwrap(), keys);
}

/// Rows of blobs are their tenant's. Those that no event names are found by age; the others are not deleted.
pub fn unused_blobs_are_found_and_used_ones_stay(mut h: Harness) {
    let world = &mut World::new();
    let mut made = world.task(OURS);
    let mut blobs: Vec<_> = [OURS, OURS, THEIRS].map(|tenant| world.blob(tenant)).to_vec();
    // Two tenants have a blob of the same id.
    blobs[2].id = blobs[0].id.clone();
    h.commit(&rows(blobs.iter().cloned().map(Row::BlobPut).collect())).unwrap();
    let used = Row::BlobUse { blob: blobs[0].id.clone(), tenant: OURS, task: made.id() };
    h.commit(&streams(vec![made.submit(world, vec![used.clone(), used.clone()])])).unwrap();
    h.commit(&rows(vec![used])).unwrap();
    let blob = |h: &Harness, of: &BlobRow| h.reader.blob(of.tenant, &of.id).unwrap();
    for one in &blobs {
        assert_eq!(blob(&h, one).as_ref(), Some(one));
    }
    assert_eq!(h.reader.blob(THEIRS, &blobs[1].id).unwrap(), None);
    let keys = [OURS, THEIRS].map(|tenant| (tenant, blobs[1].id.clone()));
    let set = h.load(&Wanted { blobs: keys.to_vec(), ..Wanted::default() }).unwrap();
    assert_eq!(set.blobs, [(keys[0].clone(), blobs[1].clone())].into());
    let unused = |h: &Harness, at| {
        let mut found = h.reader.blobs_unused(at, 9).unwrap();
        found.sort_by_key(|blob| blob.put_at);
        found
    };
    assert_eq!(unused(&h, Timestamp::MAX), blobs[1..]);
    assert_eq!(unused(&h, blobs[2].put_at), blobs[1..2]);
    assert_eq!(h.reader.blobs_unused(Timestamp::MAX, 1).unwrap().len(), 1);
    // Put again: younger.
    blobs[1].put_at = blobs[1].put_at.plus(Duration::from_secs(9));
    h.commit(&rows(vec![Row::BlobPut(blobs[1].clone())])).unwrap();
    assert_eq!(unused(&h, blobs[1].put_at), blobs[2..]);
    let delete = |of: &BlobRow| Row::BlobDelete { blob: of.id.clone(), tenant: of.tenant };
    h.commit(&rows(blobs.iter().map(delete).collect())).unwrap();
    assert_eq!(blob(&h, &blobs[0]).as_ref(), Some(&blobs[0]), "an event names it");
    assert_eq!((blob(&h, &blobs[1]), blob(&h, &blobs[2])), (None, None));
    h.commit(&rows(vec![delete(&blobs[1])])).unwrap();
    let gone = Row::StreamDelete { tenant: OURS, task: made.id(), at: world.now };
    h.commit(&rows(vec![gone, delete(&blobs[0])])).unwrap();
    assert_eq!(blob(&h.reopen(), &blobs[0]), None);
}

/// Bytes of blobs: kept, kept once, each tenant's own, and removed.
pub fn blob_bytes_are_kept(h: Harness) {
    let id = "0f".repeat(32);
    let bytes: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(h.blob.get(OURS, &id).unwrap(), None);
    h.blob.put(OURS, &id, &bytes).unwrap();
    h.blob.put(OURS, &id, &bytes).unwrap();
    h.blob.put(OURS, &"1e".repeat(32), b"").unwrap();
    h.blob.put(THEIRS, &id, b"theirs").unwrap();
    let h = h.reopen();
    assert_eq!(h.blob.get(OURS, &id).unwrap().as_ref(), Some(&bytes));
    assert_eq!(h.blob.get(OURS, &"1e".repeat(32)).unwrap(), Some(Vec::new()));
    assert_eq!(h.blob.get(THEIRS, &id).unwrap(), Some(b"theirs".to_vec()));
    h.blob.delete(OURS, &id).unwrap();
    h.blob.delete(OURS, &id).unwrap();
    assert_eq!(h.blob.get(OURS, &id).unwrap(), None);
    assert_eq!(h.blob.get(THEIRS, &id).unwrap(), Some(b"theirs".to_vec()));
}

/// A job is known by its name, with or without a place.
pub fn jobs_are_put_and_deleted(mut h: Harness) {
    let world = &mut World::new();
    let job = |name: &str, ran_at, upto| JobRow { name: name.to_owned(), ran_at, upto };
    let end = (world.tick(), world.task(OURS).id());
    let (first, second) = (job("a", world.tick(), Some(end)), job("b", world.tick(), None));
    h.commit(&rows(vec![Row::JobPut(first.clone()), Row::JobPut(second.clone())])).unwrap();
    assert_eq!(h.reader.job("a").unwrap(), Some(first));
    assert_eq!(h.reader.job("b").unwrap(), Some(second));
    let later = job("a", world.tick(), None);
    h.commit(&rows(vec![Row::JobPut(later.clone()), Row::JobDelete("b".into()), Row::JobDelete("c".into())]))
        .unwrap();
    let h = h.reopen();
    assert_eq!((h.reader.job("a").unwrap(), h.reader.job("b").unwrap()), (Some(later), None));
}

/// A key moves to another task, and only from the one that has it.
pub fn keys_move_from_task_to_task(mut h: Harness) {
    let world = &mut World::new();
    let (mut old, mut new) = (world.task(OURS), world.task(OURS));
    let key = old.key("k");
    h.commit(&streams(vec![old.submit(world, vec![Row::KeyNew(key.clone())])])).unwrap();
    let request = [9; 16];
    let moved = |from, to| Row::KeyMove { hash: key.hash, from, to, request: Some(request) };
    let moves = [moved(new.id(), old.id()), moved(old.id(), new.id())];
    h.commit(&streams(vec![new.submit(world, moves[1..].to_vec())])).unwrap();
    h.commit(&rows(vec![moved(old.id(), old.id())])).unwrap();
    let kept = Row::KeyMove { hash: key.hash, from: new.id(), to: new.id(), request: None };
    h.commit(&rows(vec![kept])).unwrap();
    let found = h.reader.key(&key.hash).unwrap().unwrap();
    assert_eq!(found.clone(), KeyRow { task: new.id(), request, ..key });
    let marked = KeyRow { deleted_at: Some(world.now), ..found.clone() };
    let again = Row::KeyMove { hash: key.hash, from: new.id(), to: new.id(), request: None };
    h.commit(&rows(vec![Row::KeyPut(marked)])).unwrap();
    h.commit(&rows(vec![again])).unwrap();
    assert_eq!(h.reader.key(&key.hash).unwrap().unwrap(), found, "whoever takes it over lives");
    // It goes with the task that has it now.
    let gone = |task| Row::StreamDelete { tenant: OURS, task, at: world.now };
    h.commit(&rows(vec![gone(old.id())])).unwrap();
    assert_eq!(h.reader.key(&key.hash).unwrap().unwrap().deleted_at, None);
    h.commit(&rows(vec![gone(new.id())])).unwrap();
    assert_eq!(h.reader.key(&key.hash).unwrap().unwrap().deleted_at, Some(world.now));
}

/// A restore makes the installation another one, and that lasts.
pub fn installation_is_replaced(mut h: Harness) {
    let first = h.reader.installation().unwrap();
    let other = Installation { id: InstallationId([7; 16]), epoch: 5, created_at: Timestamp::from_micros(9) };
    h.commit(&rows(vec![Row::InstallationPut(other)])).unwrap();
    assert_ne!(first, other);
    assert_eq!(h.reopen().reader.installation().unwrap(), other);
}

/// A snapshot shows what there was when it was taken, whatever is committed afterwards.
pub fn snapshot_holds_still(mut h: Harness) {
    let world = &mut World::new();
    let (mut made, mut later) = (world.task(OURS), world.task(OURS));
    let timer = Row::TimerPut(made.timer(world.now));
    h.commit(&streams(vec![made.submit(world, vec![Row::KeyNew(made.key("k")), timer.clone()])])).unwrap();
    let snapshot = h.reader.snapshot().unwrap();
    let expected = [Row::KeyPut(made.key("k")), timer];
    let before = made.log.head;
    h.commit(&streams(vec![later.submit(world, Vec::new())])).unwrap();
    let gone = Row::TimerDelete(made.id());
    h.commit(&streams(vec![made.end(world, State::Completed, vec![gone])])).unwrap();
    assert_eq!(all_rows(&*snapshot), expected);
    assert_eq!(snapshot.task(OURS, later.id()).unwrap(), None);
    assert_eq!(snapshot.head(OURS, made.log.name).unwrap(), Some(before));
    assert_eq!(snapshot.events(OURS, made.log.name, 0, 99).unwrap(), made.log.events[..before.seq as usize]);
    drop(snapshot);
    assert_eq!(all_rows(&*h.reader.snapshot().unwrap()), expected[..1]);
}
