//! What only a look from the inside shows: plans.

use super::connect::{Purpose, connect};
use super::session::{PostgresRow, Session};
use crate::open::{Birth, PostgresOptions};
use crate::read;
use crate::value::Row;
use everloop_store::port::Order;
use everloop_store::rows::Installation;
use everloop_types::id::InstallationId;
use everloop_types::time::Timestamp;

/// The plan of a statement whose parameters are not known.
fn plan(session: &mut Session, sql: &str) -> String {
    let count = (1..).take_while(|n| sql.contains(&format!("${n}"))).count();
    let nulls = if count == 0 { String::new() } else { format!("({})", vec!["NULL"; count].join(", ")) };
    session.batch(&format!("PREPARE explained AS {sql}")).unwrap();
    let rows = session.read(&format!("EXPLAIN EXECUTE explained{nulls}"), &[]).unwrap();
    session.batch("DEALLOCATE explained").unwrap();
    rows.iter().map(|row| PostgresRow(row).text(0).unwrap().to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn hot_statements_go_by_an_index() {
    let server = std::env::var("EVERLOOP_TEST_POSTGRES_URL")
        .expect("EVERLOOP_TEST_POSTGRES_URL names no server: run the tests with `cargo xtask test`");
    let name = format!("plans_{}", std::process::id());
    let mut admin = connect(&server, Purpose::Read).unwrap();
    admin.batch(&format!("CREATE DATABASE {name}")).unwrap();
    let options = PostgresOptions::new(format!("{}/{name}", server.rsplit_once('/').unwrap().0));
    let installation = Installation { id: InstallationId([1; 16]), epoch: 0, created_at: Timestamp::MIN };
    drop(super::open(&options, &Birth { installation, tenants: Vec::new() }).unwrap());
    let session = &mut connect(&options.url, Purpose::Write).unwrap();

    // The tables of what waits and what happened are never walked; but for these, which are for whole tables.
    let walking = ["DEPTHS", "LEASES", "TASKS", "TASKS_COUNT", "BLOBS_UNUSED"];
    for statement in super::sql::ALL.iter().chain(read::sql::ALL).filter(|s| !walking.contains(&s.name)) {
        let plan = plan(session, statement.sql);
        for table in ["task", "event", "queue", "lease", "timer", "dependency", "task_key", "stream", "blob"]
        {
            let walk = format!("Seq Scan on {table} ");
            assert!(!plan.contains(&walk), "{}:\n{plan}", statement.name);
        }
    }
    // One tenant may have every task: an index that begins with the tenant and goes on with something else is a walk.
    for statement in super::sql::ALL.iter().filter(|statement| statement.sql.contains("t.id = w.id")) {
        let plan = plan(session, statement.sql);
        assert!(plan.contains("task_pkey") && !plan.contains("task_state"), "{}:\n{plan}", statement.name);
    }
    assert!(plan(session, super::sql::READY.sql).contains("queue_pkey on queue q"));
    assert!(plan(session, read::sql::TIMERS_DUE.sql).contains("timer_at"));
    // Which one is a matter of what it knows of the tasks.
    for (filter, _) in read::lists() {
        let plan = plan(session, &read::tasks_text(read::Dialect::POSTGRES, &filter, Order::Newest));
        assert!(plan.contains("Scan") && !plan.contains("Seq Scan"), "{filter:?}:\n{plan}");
    }

    admin.batch(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
}
