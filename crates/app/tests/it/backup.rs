//! Backups as a person makes them: beside a server that goes on, and into either engine.
#![expect(clippy::disallowed_methods, reason = "the tests run the program and look at its files")]

use crate::harness::{Place, Said, Server, eventually, get, said};
use serde_json::Value;
use std::process::Command;

/// A PostgreSQL database of its own, dropped at the end.
struct Database {
    server: String,
    name: String,
}

impl Database {
    fn create() -> Self {
        let server = std::env::var("EVERLOOP_TEST_POSTGRES_URL").expect(
            "EVERLOOP_TEST_POSTGRES_URL names no server: run the tests with `cargo xtask test`, \
             or these with `cargo xtask postgres -- cargo test -p everloop`",
        );
        let name = format!("moved_{}", std::process::id());
        let database = Self { server, name };
        database.run(&format!("CREATE DATABASE {}", database.name));
        database
    }

    fn run(&self, sql: &str) {
        let said = said(Command::new("psql").args(["-qXd", &self.server, "-c", sql]));
        assert_eq!(said.code, 0, "{said:?}");
    }

    fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// The program, as clients of the server of a folder run it.
struct Clients<'p> {
    place: &'p Place,
    folder: &'p str,
}

impl Clients<'_> {
    fn run(&self, arguments: &[&str]) -> Said {
        said(self.place.command(arguments).env("EVERLOOP_DATA_DIR", self.folder))
    }

    fn start(&self, key: &str, input: &str) -> String {
        self.run(&["task", "start", "mock", "--key", key, "--input", input]).ok()
    }

    fn get(&self, task: &str) -> Value {
        self.run(&["task", "get", task, "--json"]).json()
    }

    fn ended(&self, task: &str) -> Value {
        self.run(&["task", "get", task, "--wait", "60s", "--json"]).json()
    }
}

const DONE: &str = r#"{"steps":[{"name":"a","events":3}],"result":"done"}"#;
const STEPS: usize = 40;

/// A finished task, one that waits, one in mid-flight, and one whose result is a blob.
struct World {
    done: String,
    waiting: String,
    running: String,
    large: String,
    /// What was exported of the first before.
    history: String,
}

impl World {
    fn make(clients: &Clients<'_>) -> Self {
        let done = clients.start("done", DONE);
        let waiting = clients.start("waiting", r#"{"steps":[{"name":"before"}],"wait_for_input":"go"}"#);
        let steps = [r#"{"name":"work","duration_ms":150}"#; STEPS].join(",");
        let running = clients.start("running", &format!("{{\"steps\":[{steps}],\"result\":\"ran\"}}"));
        clients.place.write("large.json", &format!("{{\"result\":\"{}\"}}", "x".repeat(300_000)));
        let arguments = ["task", "start", "mock", "--key", "large", "--input-file", "large.json"];
        let large = clients.run(&arguments).ok();
        for task in [&done, &large] {
            assert_eq!(clients.ended(task)["state"], "completed");
        }
        eventually("the wait, and some steps", || {
            let some = clients.get(&running)["steps"].as_u64().unwrap() >= 3;
            (some && clients.get(&waiting)["state"] == "waiting").then_some(())
        });
        let history = clients.run(&["task", "export", &done]).ok();
        Self { done, waiting, running, large, history }
    }

    /// Everything is there and goes on, and nothing recorded is done twice.
    fn goes_on(&self, clients: &Clients<'_>, url: &str) {
        assert_eq!(clients.run(&["task", "export", "key:done"]).ok(), self.history);
        clients.place.write("done.jsonl", &self.history);
        clients.place.write("jwks.json", &get(url, "/.well-known/jwks.json"));
        assert_eq!(clients.run(&["verify", "done.jsonl", "--key", "jwks.json"]).code, 0);
        assert_eq!(clients.start("done", DONE), self.done, "keys stand for what they stood for");
        clients.run(&["task", "input", &self.waiting, "go", "7"]).ok();
        assert_eq!(clients.ended(&self.waiting)["result"], 7);
        let ran = clients.ended(&self.running);
        assert_eq!((&ran["result"], &ran["steps"]), (&"ran".into(), &STEPS.into()));
        let events = clients.run(&["task", "export", &self.running]).ok();
        let steps = events.lines().filter(|line| line.contains("\"type\":\"step.completed\""));
        assert_eq!(steps.count(), STEPS);
        let lost = events.lines().filter(|line| line.contains("\"type\":\"task.lease_lost\""));
        assert_eq!(lost.count(), 1);
        let large = clients.get(&self.large);
        let blob = large["result"]["$blob"]["id"].as_str().unwrap();
        assert_eq!(get(url, &format!("/api/v1/blobs/{blob}")).len(), 300_002);
    }
}

/// A server of its own folder and database.
fn server(place: &Place, folder: &str, database_url: Option<&str>) -> Server {
    let mut arguments = vec!["dev", "--listen", "127.0.0.1:0", "--data-dir", folder];
    arguments.extend(database_url.iter().flat_map(|url| ["--database-url", url]));
    place.background(&arguments, |child| {
        let text = place.read_if_there(&format!("{folder}/server.json"))?;
        let server: Value = serde_json::from_str(&text).ok()?;
        (server["pid"] == child.id()).then(|| server["url"].as_str().unwrap().to_owned())
    })
}

#[test]
fn a_live_installation_moves_to_another_file_and_to_postgresql_in_mid_task() {
    let place = Place::new();
    let first = place.server(&[]);
    let world = World::make(&Clients { place: &place, folder: ".everloop" });
    let said = place.run(&["backup", "all.tar", "--include-signing-key"]);
    assert!(said.code == 0 && said.err.contains("all.tar is written"), "{said:?}");
    let again = place.run(&["backup", "all.tar"]);
    assert!(again.code == 2 && again.err.contains("is there already"), "{again:?}");
    assert_eq!(place.run(&["restore", "--check", "all.tar", "--json"]).json()["signing_key"], true);
    // Whatever the old server does after the backup is its own affair.
    first.kill();
    let database = Database::create();
    for (folder, url) in [("second", None), ("third", Some(database.url()))] {
        let mut restore = vec!["restore", "all.tar", "--data-dir", folder];
        restore.extend(url.iter().flat_map(|url| ["--database-url", url.as_str()]));
        let said = place.run(&restore);
        assert!(said.code == 0 && said.err.contains("restored into"), "{said:?}");
        let again = place.run(&restore);
        assert!(again.code == 5 && again.err.contains("not empty"), "{again:?}");
        let server = server(&place, folder, url.as_deref());
        world.goes_on(&Clients { place: &place, folder }, &server.url);
        // And from there it can be taken on.
        let onward = format!("{folder}.tar");
        let mut backup = vec!["backup", &onward, "--data-dir", folder];
        backup.extend(url.iter().flat_map(|url| ["--database-url", url.as_str()]));
        assert_eq!(place.run(&backup).code, 0);
        assert_eq!(place.run(&["restore", "--check", &onward, "--json"]).json()["blobs"], 2);
        server.stop();
    }
}

#[test]
fn what_is_no_backup_or_a_damaged_one_is_refused_and_nothing_is_written() {
    let place = Place::new();
    place.write("text", "not a backup");
    let missing = place.run(&["backup", "none.tar"]);
    assert!(missing.code == 5 && missing.err.contains("there is no database"), "{missing:?}");
    let server = place.server(&[]);
    place.run(&["task", "start", "mock", "--wait", "30s"]).ok();
    place.run(&["backup", "all.tar"]).ok();
    server.stop();
    let refused = |file: &str, code| {
        let said = place.run(&["restore", file, "--data-dir", "new"]);
        assert!(said.code == code && said.err.contains("hint:"), "{file}: {said:?}");
    };
    refused("text", 2);
    refused("nowhere.tar", 2);
    let whole = std::fs::read(place.here().join("all.tar")).unwrap();
    let at = whole.windows(14).position(|bytes| bytes == b"task.completed").unwrap();
    let mut altered = whole.clone();
    altered[at] = b'T';
    for (name, bytes) in [("altered.tar", &altered[..]), ("cut.tar", &whole[..whole.len() / 2])] {
        std::fs::write(place.here().join(name), bytes).unwrap();
        refused(name, 4);
    }
    // The folder is as good as new.
    assert_eq!(place.run(&["restore", "all.tar", "--data-dir", "new"]).code, 0);
}
