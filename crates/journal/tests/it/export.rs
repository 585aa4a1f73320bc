//! Exports and every way of tampering with one.

use crate::fixtures::{STREAM, TASK, events, key};
use everloop_journal::chain::to_json;
use everloop_journal::export::{
    ExportError, Report, Verdict, anchor_line, receipt_line, verify_export, verify_text,
};
use everloop_journal::hex;
use everloop_journal::keys::{Jwks, SigningKey};
use everloop_journal::receipt::{Claims, anchor_of, claims_of, sign};
use everloop_types::event::Event;
use everloop_types::state::State;

fn jwks() -> Jwks {
    Jwks::new(vec![key().public().clone()])
}

fn lines(events: &[Event], key: &SigningKey) -> Vec<String> {
    let mut lines: Vec<_> = events.iter().map(to_json).collect();
    lines.extend(
        events
            .last()
            .and_then(|last| claims_of(last, "mock"))
            .map(|claims| receipt_line(&sign(key, &claims))),
    );
    lines
}

fn verify(lines: &[String]) -> Result<Report, ExportError> {
    verify_export(lines, Some(&jwks()))
}

#[test]
fn a_finished_export_is_verified_by_a_trusted_key_only() {
    let lines = lines(&events(), &key());
    let report = verify(&lines).unwrap();
    let signer = key().kid().to_owned();
    assert_eq!(report.verdict, Verdict::Verified { signer: signer.clone() });
    assert_eq!(
        (report.stream, report.state, report.kind.as_deref()),
        (STREAM, Some(State::Completed), Some("mock"))
    );
    assert_eq!((report.events, report.first_seq, report.last_seq), (6, 1, 6));
    assert_eq!(report.chain_root, hex::encode(&events()[5].hash));
    for trusted in [None, Some(&Jwks::default())] {
        let report = verify_export(&lines, trusted).unwrap();
        assert_eq!(report.verdict, Verdict::ConsistentSignerUnknown { signer: signer.clone() });
    }
    let text = lines.join("\r\n\n") + "\n";
    assert_eq!(verify_text(&text, Some(&jwks())).unwrap(), report);
}

#[test]
fn an_unfinished_or_unsigned_export_is_consistent_at_most() {
    let all = lines(&events(), &key());
    let report = verify(&all[..5]).unwrap();
    assert_eq!((report.verdict, report.state, report.last_seq), (Verdict::ConsistentUnsigned, None, 5));
    let report = verify(&all[..6]).unwrap();
    assert_eq!((report.verdict, report.state), (Verdict::ConsistentUnsigned, Some(State::Completed)));
}

#[test]
fn payloads_that_are_gone_are_listed() {
    let mut events = events();
    events[0].payload = None;
    events[4].payload = None;
    let report = verify(&lines(&events, &key())).unwrap();
    assert_eq!((report.missing.as_slice(), report.kind.as_deref()), ([1, 5].as_slice(), Some("mock")));
}

#[test]
fn a_trimmed_export_begins_with_its_anchor() {
    let (events, key) = (events(), key());
    let anchor = anchor_line(&sign(&key, &anchor_of(&events[3])));
    let rest = lines(&events[4..], &key);
    let trimmed: Vec<_> = [anchor.clone()].into_iter().chain(rest.clone()).collect();
    let report = verify(&trimmed).unwrap();
    assert_eq!((report.events, report.first_seq, report.anchor), (2, 5, Some(anchor_of(&events[3]))));
    assert_eq!(report.verdict, Verdict::Verified { signer: key.kid().to_owned() });
    assert_eq!(verify(&rest).unwrap_err().seq(), Some(1));
    assert_eq!(verify(&[anchor.clone(), rest[1].clone()]).unwrap_err().seq(), Some(5));
    assert_eq!(verify(&[anchor.clone(), rest[2].clone()]).unwrap_err().seq(), Some(5));
    assert_eq!(verify(&[anchor]), Err(ExportError::Empty));
    let wrong = anchor_line(&sign(&key, &anchor_of(&events[2])));
    assert_eq!(verify(&[wrong, rest[0].clone()]).unwrap_err().seq(), Some(4));
    let mut altered = anchor_of(&events[3]);
    altered.seq = u64::MAX;
    assert!(verify(&[anchor_line(&sign(&key, &altered)), rest[0].clone()]).is_err());
}

#[test]
fn a_receipt_alone_is_taken_in_every_form() {
    let claims = claims_of(&events()[5], "mock").unwrap();
    let jws = sign(&key(), &claims);
    let payload = claims.payload();
    for text in [
        jws.clone(),
        format!("{jws}\n"),
        receipt_line(&jws),
        format!("{{\"receipt\":\"{jws}\",\"claims\":{payload}}}"),
        format!("{{\n  \"claims\": {payload},\n  \"receipt\": \"{jws}\"\n}}\n"),
    ] {
        let report = verify_text(&text, Some(&jwks())).unwrap();
        assert_eq!(report.verdict, Verdict::Verified { signer: key().kid().to_owned() });
        assert_eq!((report.stream.task(), report.events, report.last_seq), (Some(TASK), 0, 6));
        assert!(matches!(verify_text(&text, None).unwrap().verdict, Verdict::ConsistentSignerUnknown { .. }));
    }
    let other = payload.replace("mock", "mick");
    let text = format!("{{\"receipt\":\"{jws}\",\"claims\":{other}}}");
    assert_eq!(verify_text(&text, Some(&jwks())), Err(ExportError::ClaimsMismatch));
}

#[test]
fn a_receipt_has_to_belong_to_the_events() {
    let (events, key) = (events(), key());
    let all = lines(&events, &key);
    let cut: Vec<_> = all[..4].iter().chain(&all[6..]).cloned().collect();
    assert_eq!(verify(&cut), Err(ExportError::Cut { seq: 5, last_seq: 6 }));
    let good = claims_of(&events[5], "mock").unwrap();
    type Change = fn(&mut everloop_types::receipt::ReceiptClaims);
    let changes: [(&str, Change); 7] = [
        ("chain_root", |c| c.chain_root = "0".repeat(64)),
        ("result_hash", |c| c.result_hash = "0".repeat(64)),
        ("kind", |c| c.kind = "shell".to_owned()),
        ("state", |c| c.state = State::Failed),
        ("finished_at", |c| c.finished_at = everloop_types::time::Timestamp::MAX),
        ("last_seq", |c| c.last_seq = 5),
        ("task", |c| c.task.0[0] ^= 1),
    ];
    for (member, change) in changes {
        let mut claims = good.clone();
        change(&mut claims);
        let mut lines = all[..6].to_vec();
        lines.push(receipt_line(&sign(&key, &claims)));
        assert_eq!(verify(&lines), Err(ExportError::ReceiptMismatch { seq: 6, member }));
    }
}

#[test]
fn lines_out_of_place_are_refused() {
    let (events, key) = (events(), key());
    let all = lines(&events, &key);
    let anchor = anchor_line(&sign(&key, &anchor_of(&events[3])));
    for (lines, words) in [
        (vec![], "empty"),
        (vec![" ".to_owned()], "empty"),
        (vec!["{}".to_owned()], "line 1: a line is an event"),
        (vec!["[]".to_owned()], "line 1: this is not an event"),
        (vec![all[6].clone(), all[0].clone()], "line 2: nothing may follow"),
        (vec![all[6].clone(), all[6].clone()], "line 2: nothing may follow"),
        (vec![all[0].clone(), anchor.clone()], "line 2: an anchor may only be the first line"),
        (vec![anchor.replace("anchor", "receipt")], "receipt is broken: the type is everloop-anchor"),
        (vec![all[6].replace("receipt", "anchor")], "anchor is broken: the type is everloop-receipt"),
    ] {
        let error = verify(&lines).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let mut other = all.clone();
    let last = other.pop().unwrap();
    let at = last.len() - 20;
    let swapped = if last.as_bytes()[at] == b'A' { "B" } else { "A" };
    other.push(format!("{}{swapped}{}", &last[..at], &last[at + 1..]));
    assert!(matches!(verify(&other), Err(ExportError::Receipt(_))));
}
