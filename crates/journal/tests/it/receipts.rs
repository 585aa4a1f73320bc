//! Receipts, keys and what makes them worthless.

use crate::fixtures::{TASK, events, key};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use everloop_journal::canonical::to_canonical;
use everloop_journal::hex;
use everloop_journal::keys::{Jwks, SigningKey};
use everloop_journal::receipt::{
    Claims, ReceiptError, anchor_of, assemble, claims_of, read, sign, sign_detached_signature, verify,
};
use everloop_types::event::Event;
use everloop_types::receipt::{AnchorClaims, ReceiptClaims};
use everloop_types::state::State;

fn claims() -> ReceiptClaims {
    claims_of(&events()[5], "mock").unwrap()
}

fn jwks() -> Jwks {
    Jwks::new(vec![key().public().clone()])
}

#[test]
fn a_receipt_claims_what_the_terminal_event_says() {
    let (events, claims) = (events(), claims());
    assert_eq!((claims.first_seq, claims.last_seq, claims.task), (1, 6, TASK));
    assert_eq!((claims.state, claims.finished_at), (State::Completed, events[5].ts));
    assert_eq!(
        (hex::decode(&claims.chain_root), hex::decode(&claims.result_hash)),
        (Some(events[5].hash), Some(events[5].data_hash))
    );
    assert_eq!(claims_of(&events[4], "mock"), None);
    for (kind, state) in [("task.failed", State::Failed), ("task.cancelled", State::Cancelled)] {
        let end = Event { kind: kind.into(), ..events[5].clone() };
        assert_eq!(claims_of(&end, "mock").map(|claims| claims.state), Some(state));
    }
}

#[test]
fn claims_that_can_not_be_true_are_flawed_whoever_signed_them() {
    let (good, anchor) = (claims(), anchor_of(&events()[2]));
    assert_eq!((good.flaw(), anchor.flaw()), (None, None));
    let one = ReceiptClaims { last_seq: 1, ..good.clone() };
    assert_eq!(one.flaw(), None, "a task may end with its first event");
    for (claims, flaw) in [
        (ReceiptClaims { v: 2, ..good.clone() }, "v is not 1"),
        (ReceiptClaims { chain_root: "a".to_owned(), ..good.clone() }, "chain_root"),
        (ReceiptClaims { result_hash: "a".to_owned(), ..good.clone() }, "result_hash"),
        (ReceiptClaims { first_seq: 2, ..good.clone() }, "first_seq"),
        (ReceiptClaims { last_seq: 0, ..good.clone() }, "last_seq"),
        (ReceiptClaims { state: State::Running, ..good.clone() }, "state"),
    ] {
        assert!(claims.flaw().is_some_and(|said| said.starts_with(flaw)), "{flaw}");
    }
    for (claims, flaw) in [
        (AnchorClaims { v: 2, ..anchor.clone() }, "v is not 1"),
        (AnchorClaims { hash: "a".to_owned(), ..anchor.clone() }, "hash"),
        (AnchorClaims { seq: 0, ..anchor.clone() }, "seq"),
        (AnchorClaims { stream: "no stream".to_owned(), ..anchor.clone() }, "stream"),
    ] {
        assert!(claims.flaw().is_some_and(|said| said.starts_with(flaw)), "{flaw}");
    }
}

#[test]
fn signed_claims_verify_and_are_rebuilt_from_the_signature_alone() {
    let (key, claims, anchor) = (key(), claims(), anchor_of(&events()[2]));
    let jws = sign(&key, &claims);
    assert_eq!(verify::<ReceiptClaims>(&jws, &jwks()).unwrap(), claims);
    assert_eq!(assemble(key.kid(), &claims, &sign_detached_signature(&key, &claims)), jws);
    assert_eq!(verify::<AnchorClaims>(&sign(&key, &anchor), &jwks()).unwrap(), anchor);
    let header = URL_SAFE_NO_PAD.decode(jws.split('.').next().unwrap()).unwrap();
    assert_eq!(
        String::from_utf8(header).unwrap(),
        format!("{{\"alg\":\"EdDSA\",\"kid\":\"{}\",\"typ\":\"everloop-receipt\"}}", key.kid())
    );
}

#[test]
fn payloads_are_the_canonical_json_of_the_claims() {
    let mut claims = claims();
    claims.kind = "é\"\n😀".to_owned();
    assert_eq!(claims.payload(), to_canonical(&claims).unwrap().as_str());
    let mut anchor = anchor_of(&events()[2]);
    anchor.seq = u64::MAX;
    assert_eq!(anchor.payload(), to_canonical(&anchor).unwrap().as_str());
}

fn forged(header: &str, payload: &str) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// All of these carry a good signature of the trusted key.
#[test]
fn a_good_signature_is_not_enough() {
    let kid = key().kid().to_owned();
    let good = format!("{{\"alg\":\"EdDSA\",\"kid\":\"{kid}\",\"typ\":\"everloop-receipt\"}}");
    let payload = claims().payload();
    assert!(verify::<ReceiptClaims>(&forged(&good, &payload), &jwks()).is_ok());
    for (header, payload, words) in [
        (good.replace("EdDSA", "none"), payload.clone(), "algorithm is none"),
        (good.replace("EdDSA", "HS256"), payload.clone(), "algorithm is HS256"),
        (good.replace("-receipt", "-anchor"), payload.clone(), "type is everloop-anchor"),
        (good.replace("{\"alg\"", "{\"crit\":[],\"alg\""), payload.clone(), "and no others"),
        (good.replace("\"alg\"", " \"alg\""), payload.clone(), "header is not canonical"),
        ("{\"alg\":\"EdDSA\"}".to_owned(), payload.clone(), "and no others"),
        (good.replace(&kid, "other"), payload.clone(), "signer other"),
        (good.clone(), payload.replace("{\"chain", "{ \"chain"), "not canonical"),
        (good.clone(), payload.replace("{\"chain", "{\"a\":1,\"chain"), "unknown field"),
        (good.clone(), payload.replace("\"v\":1", "\"v\":2"), "v is not 1"),
        (good.clone(), payload.replace("completed", "running"), "finished task"),
        (good.clone(), payload.replace("\"first_seq\":1", "\"first_seq\":2"), "first_seq"),
        (good.clone(), payload.replace("\"last_seq\":6", "\"last_seq\":0"), "last_seq"),
        (good.clone(), payload.replace("\"chain_root\":\"", "\"chain_root\":\"0"), "chain_root"),
    ] {
        let error = verify::<ReceiptClaims>(&forged(&header, &payload), &jwks()).unwrap_err().to_string();
        assert!(error.contains(words), "{header} {payload}: {error}");
    }
}

#[test]
fn altered_texts_are_refused() {
    let jws = sign(&key(), &claims());
    let parts: Vec<_> = jws.split('.').collect();
    let other = sign(&SigningKey::from_seed(&[9; 32]), &claims());
    for text in [
        String::new(),
        "a.b".to_owned(),
        format!("{jws}.x"),
        format!("{jws}="),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], other.split('.').nth(2).unwrap()),
        jws.replace(parts[1], &URL_SAFE_NO_PAD.encode(claims().payload().replace("mock", "mick"))),
        other,
    ] {
        assert!(verify::<ReceiptClaims>(&text, &jwks()).is_err(), "{text}");
    }
    assert!(matches!(verify::<AnchorClaims>(&jws, &jwks()), Err(ReceiptError::Type { .. })));
    assert_eq!(read::<ReceiptClaims>(&jws).unwrap().kid, key().kid());
    assert!(matches!(verify::<ReceiptClaims>(&jws, &Jwks::default()), Err(ReceiptError::UnknownKey { .. })));
}
