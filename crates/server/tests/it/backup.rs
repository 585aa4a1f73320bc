//! Backups of a database with something of everything in it.

use crate::harness::Server;
use everloop_control::archive::{
    ArchiveError, Manifest, Source, Target, check, is_cut_short, restore, write,
};
use everloop_control::testing::{EVENTS_KEPT, Fault, Store, empty_store};
use everloop_testkit::random::Seeded;
use everloop_types::random::Random as _;
use everloop_types::time::{Clock, Timestamp};
use serde_json::json;
use std::io::Cursor;
use std::time::Duration;

/// Finished, trimmed, failed, redriven, deleted, waiting, held and delayed tasks; keys, blobs, an audit stream, a paused queue.
async fn world() -> Server {
    let server = Server::start().await;
    let first = server.done(json!({"steps": [{"name": "a", "events": 5}], "logs": ["x"]})).await;
    let first = first["id"].as_str().unwrap().to_owned();
    server.clock.advance(EVENTS_KEPT + Duration::from_secs(1));
    loop {
        let page = server.get(&format!("/api/v1/tasks/{first}/events")).await.expect(200);
        if page["items"].as_array().unwrap().len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    server.done(json!({"steps": [{"name": "many", "events": 1100}], "result": 1})).await;
    let gone = json!({"kind": "mock", "key": "gone"});
    let gone = server.post("/api/v1/tasks?wait=20s", &gone).await.expect(201);
    let gone = format!("/api/v1/tasks/{}", gone["id"].as_str().unwrap());
    server.call("DELETE", &gone, &[], b"").await.expect(204);
    let error = json!({"class": "validation", "code": "bad_input", "message": "no"});
    let body = json!({"kind": "mock", "key": "work", "data_subject": "ann", "input": {"fail": error}});
    let failed = server.post("/api/v1/tasks?wait=20s", &body).await.expect(201);
    let path = format!("/api/v1/dead-letters/{}/redrive", failed["id"].as_str().unwrap());
    server.call("POST", &path, &[], b"").await.expect(201);
    let large = json!({"result": "x".repeat(250_000)});
    server.done(large).await;
    let waiting = server.submit(json!({"wait_for_input": "go"})).await;
    server.until(&waiting, "waiting").await;
    let held = server.submit(json!({"steps": [{"name": "s", "result": 5}], "hold": true})).await;
    server.until(&held, "running").await;
    let later = json!({"kind": "mock", "not_before": "2030-01-01T00:00:00Z", "depends_on": [{"task": held}]});
    server.post("/api/v1/tasks", &later).await.expect(201);
    server.call("POST", "/api/v1/queues/low/pause", &[], b"").await.expect(200);
    let queued = json!({"kind": "mock", "queue": "low", "policy": {"concurrency": {"key": "k", "limit": 2}}});
    server.post("/api/v1/tasks", &queued).await.expect(201);
    server
}

fn now() -> Timestamp {
    Timestamp::parse("2026-03-01T00:00:00Z").unwrap()
}

fn backup(store: &Store, signing_key: Option<&str>) -> (Vec<u8>, Manifest) {
    let (reader, blobs) = (store.reader(), store.blob());
    let source = Source { store: &*reader, blobs: &*blobs, signing_key };
    let mut out = Vec::new();
    let manifest = write(&source, now(), &mut out).unwrap();
    (out, manifest)
}

fn restored(archive: &[u8], store: &Store) -> Result<(Manifest, Vec<String>), ArchiveError> {
    let (reader, blobs, mut writer) = (store.reader(), store.blob(), store.writer());
    let mut keys = Vec::new();
    let mut keep_key = |key: &str| {
        keys.push(key.to_owned());
        Ok(())
    };
    let target = Target { store: &*reader, writer: &mut writer, blobs: &*blobs, keep_key: &mut keep_key };
    let manifest = restore(&mut Cursor::new(archive), target, now())?;
    Ok((manifest, keys))
}

/// Every line of an archive, those of leases without what a restore changes.
fn lines(archive: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(archive);
    // A member's first line stands behind its header.
    let begin =
        |line: &str| ["{\"begin\"", "{\"actor\"", "{\"lane\"", "{\"row\""].iter().find_map(|b| line.find(b));
    let lines = text.lines().filter_map(|line| Some(line[begin(line)?..].to_owned()));
    lines.map(|line| if line.contains("\"lease_put\"") { "a lease".to_owned() } else { line }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_gives_the_same_backup() {
    let server = world().await;
    let (archive, manifest) = backup(&server.store, Some("a secret\n"));
    assert!(manifest.streams == 10 && manifest.blobs == 1 && manifest.signing_key, "{manifest:?}");
    assert_eq!(check(&mut Cursor::new(&archive)).unwrap(), manifest);
    let store = empty_store(server.clock.now());
    let (found, keys) = restored(&archive, &store).unwrap();
    assert_eq!((found, keys), (manifest.clone(), vec!["a secret\n".to_owned()]));
    let (again, counted) = backup(&store, None);
    let count = |manifest: &Manifest| (manifest.streams, manifest.events, manifest.rows, manifest.blobs);
    assert_eq!(count(&counted), count(&manifest));
    let (before, after) = (lines(&archive), lines(&again));
    assert!(before.iter().any(|line| line == "a lease"));
    for kind in [
        "\"anchor\":{",
        "deleted_at",
        "\"signature\":{",
        "data_subject",
        "blob_use",
        "timer_put",
        "dependency_put",
    ] {
        assert!(before.iter().any(|line| line.contains(kind)), "{kind}");
    }
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after, "{before:.2000}\n{after:.2000}");
    }
    // The installation is the same, in another epoch.
    let text = |archive: &[u8]| String::from_utf8_lossy(&archive[512..700]).into_owned();
    assert!(text(&archive).contains("\"epoch\":0") && text(&again).contains("\"epoch\":1"));
    assert!(matches!(restored(&archive, &store), Err(ArchiveError::NotEmpty(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_altered_or_cut_is_found_before_anything_is_written() {
    let server = world().await;
    let (archive, manifest) = backup(&server.store, None);
    let dice = Seeded::new(5);
    let below = |n: usize| usize::from_be_bytes(dice.bytes16()[..8].try_into().unwrap()) % n;
    let store = empty_store(server.clock.now());
    let mut found = 0;
    for _ in 0..60 {
        let mut altered = archive.clone();
        let place = below(altered.len());
        altered[place] ^= 1 << below(8);
        match check(&mut Cursor::new(&altered)) {
            // What fills a block up means nothing.
            Ok(read) => assert_eq!(read, manifest),
            Err(ArchiveError::Damaged { .. } | ArchiveError::Foreign(_)) => {
                found += 1;
                assert!(restored(&altered, &store).is_err());
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(found > 50, "{found}");
    for _ in 0..20 {
        // The last blocks are empty.
        let cut = &archive[..below(archive.len() - 2_048)];
        assert!(restored(cut, &store).is_err(), "{} of {} bytes", cut.len(), archive.len());
    }
    assert!(matches!(restored(b"", &store), Err(ArchiveError::Foreign(_))));
    assert!(matches!(restored(&[b'x'; 4_096], &store), Err(ArchiveError::Foreign(_))));
    assert!(!is_cut_short(&*store.reader()).unwrap());
    restored(&archive, &store).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_is_cut_short_is_known_for_what_it_is() {
    let server = world().await;
    let (archive, _) = backup(&server.store, None);
    let store = empty_store(server.clock.now());
    let (reader, blobs, mut writer) = (store.reader(), store.blob(), store.writer());
    let mut restore = || {
        let mut keep_key = |_: &str| Ok(());
        let target = Target { store: &*reader, writer: &mut writer, blobs: &*blobs, keep_key: &mut keep_key };
        restore(&mut Cursor::new(&archive), target, now())
    };
    store.fail_next(Some(Fault::Full));
    assert!(matches!(restore(), Err(ArchiveError::Store(_))));
    assert!(!is_cut_short(&*reader).unwrap(), "nothing was written at all");
    // The mark is written, and then there is no space.
    store.fail_next(None);
    store.fail_next(Some(Fault::Full));
    assert!(matches!(restore(), Err(ArchiveError::Store(_))));
    assert!(is_cut_short(&*reader).unwrap());
    assert!(matches!(restore(), Err(ArchiveError::NotEmpty(_))));
}
