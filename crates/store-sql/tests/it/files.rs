//! The SQLite file and what lies beside it.

use crate::engines::{birth, folder, sqlite_in};
use crate::sample::{TENANT, grow, id, set};
use everloop_store::error::StoreError;
use everloop_store::port::Blob;
use everloop_store::port::Reserve as _;
use everloop_store_sql::blob_files::BlobFiles;
use everloop_store_sql::{Birth, SqliteOptions, open_sqlite};
use everloop_types::id::TenantId;
use everloop_types::random::Random;
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

fn refusal(options: &SqliteOptions) -> (String, String) {
    match open_sqlite(options, &birth()).map(|_| ()) {
        Err(StoreError::Refused { what, remedy }) => (what, remedy),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn second_process_is_told_who_has_the_file() {
    let folder = folder();
    let mut options = SqliteOptions::new(folder.path().join("everloop.db"));
    options.url = Some("http://127.0.0.1:7420".into());
    let opened = open_sqlite(&options, &birth()).unwrap();
    let (what, remedy) = refusal(&options);
    assert!(what.contains(&format!("pid {} at http://127.0.0.1:7420", std::process::id())), "{what}");
    assert!(remedy.contains("--data-dir"), "{remedy}");
    // The readers alone keep it too.
    drop(opened.writer);
    refusal(&options);
    drop(opened.reader);
    open_sqlite(&options, &birth()).unwrap();
}

#[test]
fn folder_that_cannot_be_written_is_refused() {
    // Root may write anywhere but here.
    if Path::new("/sys/kernel").exists() {
        let (what, _) = refusal(&SqliteOptions::new("/sys/kernel/everloop.db"));
        assert!(what.contains("/sys/kernel can't be written"), "{what}");
    }
    let folder = folder();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (what, _) = refusal(&SqliteOptions::new(folder.path().join("file/everloop.db")));
    assert!(what.contains("can't be written"), "{what}");
}

#[test]
fn files_are_for_their_owner_only_and_folders_are_made() {
    let folder = folder();
    let options = SqliteOptions::new(folder.path().join("a/b/everloop.db"));
    let mut opened = open_sqlite(&options, &birth()).unwrap();
    opened.writer.commit(&set(vec![grow(1, 0, 1, State::Running, Vec::new())])).unwrap();
    for name in ["everloop.db", "everloop.db-wal", "everloop.db-shm"] {
        let mode = std::fs::metadata(folder.path().join("a/b").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

struct Nines;
impl Random for Nines {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(9);
    }
}

#[test]
fn installation_is_born_once_with_its_tenant() {
    let folder = folder();
    let options = SqliteOptions::new(folder.path().join("everloop.db"));
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let birth = Birth::new(now, &Nines);
    let first = open_sqlite(&options, &birth).unwrap();
    assert_eq!(first.installation, birth.installation);
    let tenants = first.reader.tenants().unwrap();
    assert_eq!(
        tenants.iter().map(|row| (row.id, &*row.name, row.secret)).collect::<Vec<_>>(),
        [(TenantId::DEFAULT, "default", [9; 32])]
    );
    let id = first.installation.id;
    drop(first);
    let mut later = Birth::new(now, &Nines);
    later.installation.id.0 = [1; 16];
    later.tenants.clear();
    let second = open_sqlite(&options, &later).unwrap();
    assert_eq!((second.installation.id, second.reader.tenants().unwrap().len()), (id, 1));
}

#[test]
fn reserve_is_held_and_given_up() {
    let folder = folder();
    let opened = open_sqlite(&SqliteOptions::new(folder.path().join("everloop.db")), &birth()).unwrap();
    let reserve = opened.reserve.unwrap();
    let file = folder.path().join("everloop.db.reserve");
    reserve.release().unwrap();
    reserve.hold().unwrap();
    reserve.hold().unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 4 * 1024 * 1024);
    reserve.release().unwrap();
    assert!(!file.exists());
}

#[test]
fn blobs_lie_where_only_hexadecimal_ids_reach() {
    let folder = folder();
    let blobs = BlobFiles::new(folder.path());
    let id = "00ff".repeat(16);
    blobs.put(TenantId::DEFAULT, &id, b"one").unwrap();
    blobs.put(TenantId::DEFAULT, &id, b"one").unwrap();
    let path = folder.path().join("blobs").join(TenantId::DEFAULT.to_string()).join("00").join(&id);
    assert_eq!(std::fs::read(&path).unwrap(), b"one");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing unfinished is left");
    for bad in ["", "../../../../etc/passwd", "..", "ABCD", "00f"] {
        assert!(matches!(blobs.put(TenantId::DEFAULT, bad, b""), Err(StoreError::Bug(_))), "{bad}");
        assert!(matches!(blobs.get(TenantId::DEFAULT, bad), Err(StoreError::Bug(_))), "{bad}");
    }
}

/// What was committed is there after the process is gone without a word: nothing is left to be written at the end.
#[test]
fn log_of_a_process_that_vanished_is_read() {
    let folder = folder();
    let mut h = sqlite_in(Arc::clone(&folder));
    h.commit(&set(vec![grow(1, 0, 4, State::Running, Vec::new())])).unwrap();
    let copy = tempfile::tempdir().unwrap();
    for name in ["everloop.db", "everloop.db-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let found = open_sqlite(&SqliteOptions::new(copy.path().join("everloop.db")), &birth()).unwrap();
    assert_eq!(found.reader.feed(TenantId::DEFAULT, 0, 10).unwrap().len(), 4);
}

/// What a disk gave back otherwise than it was written, or somebody changed: an event says it itself.
#[test]
fn altered_event_is_named_and_never_given() {
    let folder = folder();
    let mut h = sqlite_in(Arc::clone(&folder));
    h.commit(&set((1..=4).map(|n| grow(n, 0, 4, State::Running, Vec::new())).collect())).unwrap();
    let raw = rusqlite::Connection::open(folder.path().join("everloop.db")).unwrap();
    raw.execute_batch("DROP TRIGGER event_update").unwrap();
    let changes =
        ["data = CAST('{\"n\":8}' AS BLOB)", "type = 'step.failed'", "ts = ts + 1", "salt = zeroblob(16)"];
    for (n, change) in (1..).zip(changes) {
        let third = format!("(SELECT pos FROM event WHERE seq = 3 ORDER BY pos LIMIT 1 OFFSET {})", n - 1);
        raw.execute(&format!("UPDATE event SET {change} WHERE pos = {third}"), []).unwrap();
        let stream = StreamName::Task(id(n));
        let reads = [
            h.reader.events(TENANT, stream, 0, 10).map(|_| ()),
            h.reader.events(TENANT, stream, 2, 10).map(|_| ()),
            h.reader.event(TENANT, stream, 3).map(|_| ()),
        ];
        for read in reads {
            let told = read.unwrap_err().to_string();
            assert!(told.contains(&format!("event {stream}/3: its hash")), "{change}: {told}");
        }
        assert_eq!(h.reader.events(TENANT, stream, 0, 2).unwrap().len(), 2);
        assert!(h.reader.event(TENANT, stream, 2).unwrap().is_some());
    }
}
