//! The installation, its tenants, keys, workers and blobs.

use super::fixtures::{OURS, THEIRS, World, rows, streams};
use super::harness::Harness;
use crate::rows::{BlobRow, SigningKeyRow};
use crate::work::Row;
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
