//! The test vectors in `docs/vectors/`: made here, compared with what is committed. `EVERLOOP_BLESS=1` writes them.

use crate::fixtures::{STREAM, TASK, events, json, key, push, relink, set_data};
use everloop_journal::canonical::canonicalize_to_string;
use everloop_journal::chain::{envelope, genesis, to_json};
use everloop_journal::digest::{
    TenantSecret, blob_hash, blob_id, intent, key_hash, request_hash, sha256, step_idempotency_key,
};
use everloop_journal::export::{Verdict, anchor_line, receipt_line, verify_text};
use everloop_journal::hex;
use everloop_journal::keys::Jwks;
use everloop_journal::receipt::{anchor_of, claims_of, sign};
use everloop_types::event::{Event, Pausing};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;
use serde_json::{Value, json as value};
use std::path::PathBuf;

fn jwks() -> Jwks {
    Jwks::new(vec![key().public().clone()])
}

fn receipt_of(events: &[Event]) -> String {
    receipt_line(&sign(&key(), &claims_of(events.last().unwrap(), "mock").unwrap()))
}

fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(to_json).chain([receipt_of(events)]).collect()
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn canonical() -> String {
    let accepted = [
        "{ \"b\" : 1 , \"a\" : [ ] }",
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
        r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        "[-0, -0.0, 0e9, 1.0, 10e-1, 1e-400]",
        "[9007199254740993, -9223372036854775808, 18446744073709551615]",
        "[9007199254740993.0, 18446744073709551616.0, 100000000000000000000, 1e20, 1e21]",
        r#""\u007f\u0000\u001f\b\f\/\u2028""#,
    ];
    let refused = [
        "{\"a\":1,\"\\u0061\":2}",
        "[18446744073709551616]",
        "[-9223372036854775809]",
        "{\"n\":1000000000000000000000}",
        "{\"a\":[1e999]}",
        r#"{"a":{"b":"\ud800"}}"#,
        r#"["\udc00\ud800"]"#,
        "[1,]",
        "[01]",
        "1 2",
        "\"\t\"",
        "",
    ];
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let rows = accepted
        .iter()
        .map(|input| value!({"input": input, "canonical": canonicalize_to_string(input.as_bytes()).unwrap()}))
        .chain(refused.into_iter().chain([deep.as_str()]).map(|input| {
            let error = canonicalize_to_string(input.as_bytes()).unwrap_err();
            value!({"input": input, "refused": {"path": error.path, "offset": error.offset, "reason": error.reason.to_string()}})
        }));
    pretty_rows(rows.collect())
}

fn pretty_rows(rows: Vec<Value>) -> String {
    let rows: Vec<_> = rows.iter().map(|row| format!("  {row}")).collect();
    format!("[\n{}\n]\n", rows.join(",\n"))
}

fn digests() -> String {
    let (tenant, secret) = (TenantId::DEFAULT, [0x5e; 32]);
    let args = json("{\"url\":\"https://example.com/ä\"}");
    let (bytes, salt) = (b"Everloop", [0xa5; 16]);
    let inner = sha256(bytes);
    let events = events();
    serde_json::to_string_pretty(&value!({
        "genesis": {"stream": STREAM.to_string(), "hash": hex::encode(&genesis(&STREAM))},
        "envelope": {"seq": 5, "bytes": envelope(&events[4])},
        "intent": {"arguments": args.as_str(), "intent": intent(&args)},
        "step": {"task": TASK.to_string(), "step": "a/fetch#1", "idempotency_key": step_idempotency_key(TASK, "a/fetch#1")},
        "key": {"tenant": tenant.to_string(), "namespace": "task", "key": "Bestellung 4/ä",
                "hash": hex::encode(&key_hash(tenant, "task", "Bestellung 4/ä"))},
        "request": {"tenant_secret": hex::encode(&secret), "request": args.as_str(),
                    "hash": hex::encode(&request_hash(&TenantSecret::new(secret), &args))},
        "blob": {"tenant_secret": hex::encode(&secret), "bytes": "Everloop", "salt": hex::encode(&salt),
                 "sha256": hex::encode(&inner), "id": blob_id(&TenantSecret::new(secret), &inner),
                 "hash": blob_hash(&salt, &inner)},
    }))
    .unwrap()
        + "\n"
}

/// Exports that hold together, and what is said about them.
fn good() -> Vec<(&'static str, Vec<String>, Verdict)> {
    let (events, signer) = (events(), key().kid().to_owned());
    let verified = || Verdict::Verified { signer: signer.clone() };
    let trimmed = [anchor_line(&sign(&key(), &anchor_of(&events[3])))].into_iter().chain(lines(&events[4..]));
    let mut folded = events.clone();
    folded[0].payload = None;
    folded[4].payload = None;
    let unfinished = lines(&events)[..5].to_vec();
    vec![
        ("finished", lines(&events), verified()),
        ("trimmed", trimmed.collect(), verified()),
        ("payloads-gone", lines(&folded), verified()),
        ("receipt-only", vec![receipt_of(&events)], verified()),
        ("unfinished", unfinished, Verdict::ConsistentUnsigned),
    ]
}

/// The finished export after a change.
fn tampered() -> Vec<(&'static str, Vec<String>)> {
    let original = receipt_of(&events());
    let changed = |change: &dyn Fn(&mut Vec<Event>)| {
        let mut events = events();
        change(&mut events);
        events.iter().map(to_json).chain([original.clone()]).collect::<Vec<_>>()
    };
    let edited = |from: &str, to: &str| {
        let before = text(&lines(&events()));
        let after = before.replacen(from, to, 1);
        assert_ne!(before, after, "{from}");
        after.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let other_result = |events: &mut Vec<Event>| {
        set_data(&mut events[5], &value!({"result": {"summary": "anders"}}));
        relink(events);
    };
    let signature = original.rfind('.').unwrap() + 1;
    let mut resigned = original.clone();
    let first = if original.as_bytes()[signature] == b'A' { "B" } else { "A" };
    resigned.replace_range(signature..=signature, first);
    vec![
        ("data", edited("\"status\":200", "\"status\":500")),
        ("salt", edited("\"salt\":\"a2", "\"salt\":\"b2")),
        ("actor", edited("\"actor\":\"system\"", "\"actor\":\"usr_x\"")),
        ("uppercase-hash", edited("\"salt\":\"a1", "\"salt\":\"A1")),
        ("unknown-member", edited("\"seq\":2", "\"note\":1,\"seq\":2")),
        ("event-removed", changed(&|events| drop(events.remove(2)))),
        ("event-doubled", changed(&|events| events.insert(2, events[1].clone()))),
        ("events-swapped", changed(&|events| events.swap(1, 2))),
        ("event-of-another-stream", changed(&|events| events[2].stream = StreamName::Task(TaskId([1; 16])))),
        (
            "event-rehashed",
            changed(&|events| {
                set_data(&mut events[2], &value!({}));
                let rest = events.split_off(3);
                relink(events);
                events.extend(rest);
            }),
        ),
        (
            "history-rewritten",
            changed(&|events| {
                events[1].actor = "usr_x".to_owned();
                relink(events);
            }),
        ),
        (
            "time-went-back",
            changed(&|events| {
                events[2].ts = events[0].ts;
                relink(events);
            }),
        ),
        ("tail-cut", changed(&|events| events.truncate(4))),
        ("result-rewritten", changed(&other_result)),
        ("event-after-the-end", changed(&|events| push(events, Pausing { reason: None }, |_| {}))),
        ("signature", events().iter().map(to_json).chain([resigned]).collect()),
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vectors"))
}

#[expect(clippy::disallowed_methods, reason = "the vectors are files of the repository")]
fn hold(name: &str, made: &str) {
    let path = folder().join(name);
    if std::env::var_os("EVERLOOP_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/vectors/{name} differs from what is made now; EVERLOOP_BLESS=1 rewrites it"
    );
}

#[test]
fn the_committed_vectors_are_what_is_made_now() {
    hold("canonical.json", &canonical());
    hold("digests.json", &digests());
    hold("jwks.json", &(jwks().to_json() + "\n"));
    hold("private-key.json", &key().to_text());
    for (name, lines, verdict) in good() {
        let text = text(&lines);
        hold(&format!("{name}.jsonl"), &text);
        assert_eq!(verify_text(&text, Some(&jwks())).unwrap().verdict, verdict, "{name}");
    }
    let mut index = Vec::new();
    for (name, lines) in tampered() {
        let text = text(&lines);
        let error = verify_text(&text, Some(&jwks())).unwrap_err();
        index.push(value!({"file": format!("tampered/{name}.jsonl"), "seq": error.seq(), "error": error.to_string()}));
        hold(&format!("tampered/{name}.jsonl"), &text);
    }
    hold("tampered.json", &pretty_rows(index));
}

/// What the vectors are expected to say, written by hand so that blessing can't change it.
#[test]
fn tampering_shows_at_the_event_that_it_touches() {
    let expected: [(&str, Option<u64>); 16] = [
        ("data", Some(3)),
        ("salt", Some(2)),
        ("actor", Some(2)),
        ("uppercase-hash", Some(1)),
        ("unknown-member", Some(2)),
        ("event-removed", Some(3)),
        ("event-doubled", Some(3)),
        ("events-swapped", Some(2)),
        ("event-of-another-stream", Some(3)),
        ("event-rehashed", Some(4)),
        ("history-rewritten", Some(4)),
        ("time-went-back", Some(3)),
        ("tail-cut", Some(5)),
        ("result-rewritten", Some(6)),
        ("event-after-the-end", Some(7)),
        ("signature", None),
    ];
    let found: Vec<_> = tampered()
        .into_iter()
        .map(|(name, lines)| (name, verify_text(&text(&lines), Some(&jwks())).unwrap_err().seq()))
        .collect();
    assert_eq!(found, expected);
}
