//! A history that was altered on the disk is refused by name, by every read of it, and nobody else's is.

use crate::harness::{Place, eventually};
use std::path::Path;

/// Changes a bit of every occurrence in the database file, and says in how many.
#[expect(clippy::disallowed_methods, reason = "the file is what is tested")]
fn alter(path: &Path, text: &[u8]) -> usize {
    let mut bytes = std::fs::read(path).unwrap();
    let places: Vec<usize> =
        (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    for at in &places {
        bytes[*at] ^= 1;
    }
    std::fs::write(path, bytes).unwrap();
    places.len()
}

#[test]
fn an_altered_signature_is_no_receipt() {
    let place = Place::new();
    let server = place.server(&[]);
    let start = || {
        place.run(&["task", "start", "mock", "--wait", "30s", "--json"]).json()["id"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (hit, spared) = (start(), start());
    let jws = place.run(&["task", "receipt", &hit, "--json"]).json()["receipt"].as_str().unwrap().to_owned();
    let signature = jws.rsplit('.').next().unwrap().replace('-', "+").replace('_', "/") + "==";
    let signature = everloop_client::follow::decode_base64(&signature).unwrap();
    server.stop();
    place.server(&[]).stop();
    assert_eq!(alter(&place.here().join(".everloop/everloop.db"), &signature), 1);
    let server = place.server(&[]);
    for read in ["receipt", "export"] {
        let said = place.run(&["task", read, &hit]);
        assert!(said.code != 0 && said.err.contains("the database is damaged"), "{read}: {said:?}");
        place.run(&["task", read, &spared]).ok();
    }
    place.run(&["task", "get", &hit]).ok();
    server.stop();
}

#[test]
fn an_altered_history_is_refused_by_every_read_of_it() {
    let place = Place::new();
    let server = place.server(&[]);
    let start = |result: &str| {
        let input = format!(r#"{{"steps":[{{"name":"one"}}],"result":"{result}"}}"#);
        let task = place.run(&["task", "start", "mock", "--input", &input]).ok();
        place.run(&["task", "get", &task, "--wait", "30s"]).ok();
        task
    };
    let (hit, spared) = (start("trusted words"), start("other words"));
    let waits = r#"{"wait_for_input":"go","result":"trusted words"}"#;
    let waiting = place.run(&["task", "start", "mock", "--input", waits]).ok();
    eventually("the wait", || {
        (place.run(&["task", "get", &waiting, "--json"]).json()["state"] == "waiting").then_some(())
    });
    server.stop();
    // A start moves the log of the one before into the file.
    place.server(&[]).stop();
    assert!(alter(&place.here().join(".everloop/everloop.db"), b"trusted words") > 0);
    let server = place.server(&[]);
    for read in ["get", "output", "export", "receipt"] {
        let said = place.run(&["task", read, &hit]);
        assert!(said.code != 0 && said.err.contains("the database is damaged"), "{read}: {said:?}");
        assert!(!said.out.contains("urusted"), "{read}: {said:?}");
        place.run(&["task", read, &spared]).ok();
    }
    // No worker gets a damaged task, and that keeps none of them from the others.
    place.run(&["task", "input", &waiting, "go", "5"]).ok();
    eventually("the claim", || {
        place.log("dev").contains(&format!("no worker gets it task={waiting}")).then_some(())
    });
    start("later words");
    server.stop();
}
