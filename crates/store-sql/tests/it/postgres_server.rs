//! What the PostgreSQL engine asks of a server, and how it takes the loss of one.

use crate::engines::{Database, birth, folder, postgres_in, try_run};
use crate::sample::{TENANT, grow, id, set};
use everloop_store::error::StoreError;
use everloop_store::work::Wanted;
use everloop_store_sql::{PostgresOptions, open_postgres};
use everloop_types::state::State;
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

fn refusal(url: &str) -> String {
    match open_postgres(&PostgresOptions::new(url), &birth()).map(|_| ()) {
        Err(StoreError::Refused { what, remedy }) => {
            assert!(!remedy.is_empty());
            what
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// A transaction of somebody else that stays open, with all that its statement has locked.
struct Transaction {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Transaction {
    fn open(url: &str, statement: &str) -> Transaction {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (client, connection) =
            runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls)).unwrap();
        drop(runtime.spawn(connection));
        runtime.block_on(client.batch_execute(&format!("BEGIN; {statement}"))).unwrap();
        Transaction { runtime, client }
    }

    fn commit(self) {
        self.runtime.block_on(self.client.batch_execute("COMMIT")).unwrap();
    }
}

#[test]
fn urls_and_settings_that_would_not_do_are_refused() {
    let database = Database::create();
    assert!(refusal("postgres://").contains("can't be used"));
    assert!(refusal("mysql://x").contains("can't be read"));
    assert!(refusal(&format!("{}?sslmode=require", database.url)).contains("TLS"));
    assert!(refusal(&format!("{}x", database.url)).contains("refused the connection"));
    let name = database.url.rsplit_once('/').unwrap().1;
    database.run(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    assert!(refusal(&database.url).contains("synchronous_commit = off"));
    assert!(matches!(
        open_postgres(&PostgresOptions::new("postgres://x@127.0.0.1:1/x"), &birth()).map(|_| ()),
        Err(StoreError::Unavailable(_))
    ));
}

#[test]
fn lost_connections_are_opened_again() {
    let database = Arc::new(Database::create());
    let mut h = postgres_in(Arc::clone(&database), folder());
    h.commit(&set(vec![grow(1, 0, 1, State::Running, Vec::new())])).unwrap();
    let kill = || {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'everloop' \
            AND datname = current_database()";
        assert!(!try_run(&database.url, sql).unwrap().is_empty());
    };
    kill();
    h.commit(&set(vec![grow(1, 1, 1, State::Running, Vec::new())])).unwrap();
    kill();
    h.load(&Wanted::default()).unwrap();
    h.reader.ping().unwrap();
    kill();
    assert_eq!(h.reader.events(TENANT, StreamName::Task(id(1)), 0, 9).unwrap().len(), 2);
}

#[test]
fn locked_row_makes_a_commit_unavailable_and_nothing_is_written() {
    let database = Arc::new(Database::create());
    let mut h = postgres_in(Arc::clone(&database), folder());
    h.commit(&set(vec![grow(1, 0, 1, State::Running, Vec::new())])).unwrap();
    let held = Transaction::open(&database.url, "SELECT head_seq FROM task FOR UPDATE");
    let next =
        set(vec![grow(1, 1, 1, State::Running, Vec::new()), grow(2, 0, 1, State::Running, Vec::new())]);
    let error = h.commit(&next).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert_eq!(h.reader.task(TENANT, id(2)).unwrap(), None);
    held.commit();
    assert_eq!(h.commit(&next).unwrap().moved, []);
}

/// A way to the server that can be cut without its noticing.
struct Way {
    url: String,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(url: &str) -> Self {
        let (before, after) = url.split_once("127.0.0.1:").unwrap();
        let (port, after) = after.split_once('/').unwrap();
        let to = format!("127.0.0.1:{port}");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("{before}{}/{after}", listener.local_addr().unwrap());
        let open = Arc::new(Mutex::new(Vec::new()));
        let kept = open.clone();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(&to).unwrap());
                for (mut from, mut into) in [(&near, &far), (&far, &near)].map(both) {
                    std::thread::spawn(move || {
                        // Whatever ends one direction leaves the other one to itself.
                        let _ = std::io::copy(&mut from, &mut into);
                    });
                }
                kept.lock().unwrap().extend([near, far]);
            }
        });
        Way { url, open }
    }

    /// This side is told that the connection is lost; the server is told nothing.
    fn cut(&self) {
        for near in self.open.lock().unwrap().iter().step_by(2) {
            near.shutdown(Shutdown::Write).unwrap();
        }
    }
}

fn both((from, into): (&TcpStream, &TcpStream)) -> (TcpStream, TcpStream) {
    (from.try_clone().unwrap(), into.try_clone().unwrap())
}

#[test]
fn a_commit_whose_connection_was_lost_is_decided_once_there_is_another_one() {
    let database = Arc::new(Database::create());
    let way = Way::to(&database.url);
    let mut writer = open_postgres(&PostgresOptions::new(&way.url), &birth()).unwrap().writer;
    let h = postgres_in(Arc::clone(&database), folder());
    writer.commit(&set(vec![grow(1, 0, 1, State::Running, Vec::new())])).unwrap();
    // The commit is with the server, and waits there for this.
    let held = Transaction::open(&database.url, "LOCK TABLE event IN EXCLUSIVE MODE");
    let committing = std::thread::spawn(move || {
        let error = writer.commit(&set(vec![grow(1, 1, 1, State::Running, Vec::new())])).unwrap_err();
        (writer, error)
    });
    let waits =
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while try_run(&database.url, waits).unwrap().is_empty() {
        std::thread::yield_now();
    }
    way.cut();
    let (mut writer, error) = committing.join().unwrap();
    assert!(matches!(error, StoreError::Unknown(_)), "{error:?}");
    writer.load(&Wanted::default(), Timestamp::from_micros(0)).unwrap();
    assert!(try_run(&database.url, waits).unwrap().is_empty(), "it still waits, and will be written");
    held.commit();
    let events = h.reader.events(TENANT, StreamName::Task(id(1)), 0, 9).unwrap();
    assert_eq!(events.len(), 1);
}

#[test]
fn time_is_the_databases() {
    let mut h = postgres_in(Arc::new(Database::create()), folder());
    let early = Timestamp::from_micros(0);
    let first = h.writer.load(&Wanted::default(), early).unwrap().now;
    let second = h.writer.load(&Wanted::default(), early).unwrap().now;
    assert!(second > first && first > Timestamp::from_micros(1_700_000_000_000_000));
}

/// Events of a transaction that is still open hide later ones until they can be given out in order.
#[test]
fn feed_waits_for_older_transactions() {
    let database = Arc::new(Database::create());
    let mut h = postgres_in(Arc::clone(&database), folder());
    h.commit(&set(vec![grow(1, 0, 1, State::Running, Vec::new())])).unwrap();
    let older = Transaction::open(&database.url, "SELECT pg_current_xact_id()");
    let last = h.commit(&set(vec![grow(2, 0, 2, State::Running, Vec::new())])).unwrap().last_pos.unwrap();
    assert!(h.reader.last_position(TENANT).unwrap() < last);
    older.commit();
    while h.reader.last_position(TENANT).unwrap() < last {
        std::thread::yield_now();
    }
    assert_eq!(h.reader.feed(TENANT, 0, 10).unwrap().len(), 3);
}
