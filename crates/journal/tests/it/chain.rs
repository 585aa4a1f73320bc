//! Links, digests and what a verifier finds.

use crate::fixtures::{STREAM, events, json, relink};
use everloop_journal::canonical::{canonicalize_to_string, is_canonical};
use everloop_journal::chain::{
    Draft, Fault, FromJsonError, Verifier, envelope, from_json, genesis, hash_of, head_after, kind_of, link,
    start, to_json,
};
use everloop_journal::digest::sha256;
use everloop_types::event::{Event, Payload};
use everloop_types::id::{TaskId, TenantId};
use everloop_types::stream::StreamName;
use everloop_types::time::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use std::borrow::Cow;

fn verifier() -> Verifier {
    Verifier::new(TenantId::DEFAULT, STREAM)
}

fn check(events: &[Event]) -> Result<(), (u64, Fault)> {
    let mut verifier = verifier();
    events.iter().try_for_each(|event| verifier.check(event)).map_err(|error| (error.seq, error.fault))
}

#[test]
fn a_chain_begins_with_the_name_of_its_stream() {
    assert_eq!(genesis(&STREAM), sha256(format!("everloop/v1/{STREAM}").as_bytes()));
    let head = start(&STREAM);
    assert_eq!((head.seq, head.hash, head.ts), (0, genesis(&STREAM), Timestamp::MIN));
    assert_ne!(genesis(&STREAM), genesis(&StreamName::Audit(TenantId::DEFAULT, 1)));
}

#[test]
fn events_are_numbered_and_never_older_than_the_one_before() {
    let events = events();
    let mut draft =
        crate::fixtures::draft(&head_after(&events[5]), everloop_types::event::Pausing { reason: None });
    draft.ts = Timestamp::MIN;
    let event = link(&head_after(&events[5]), draft);
    assert_eq!((event.seq, event.ts), (7, events[5].ts));
    assert_eq!(event.hash, hash_of(&events[5].hash, &event));
    let mut bytes = events[5].hash.to_vec();
    bytes.extend_from_slice(envelope(&event).as_bytes());
    assert_eq!(event.hash, sha256(&bytes));
}

#[test]
fn the_envelope_is_canonical_and_the_json_form_ends_with_the_data() {
    for event in events() {
        assert!(is_canonical(&envelope(&event)));
        let text = to_json(&event);
        let data = event.payload.as_ref().unwrap().data.as_str();
        let (before, last) = text.split_once(",\"data\":").unwrap();
        assert_eq!(last, format!("{data}}}"));
        assert!(is_canonical(&format!("{before}}}")));
        let mut members: Value = serde_json::from_str(&text).unwrap();
        for member in ["hash", "salt", "data"] {
            assert!(members.as_object_mut().unwrap().remove(member).is_some());
        }
        assert_eq!(canonicalize_to_string(members.to_string().as_bytes()).unwrap(), envelope(&event));
        assert_eq!(from_json(&text).unwrap(), event);
    }
}

#[test]
fn an_event_without_payload_has_neither_salt_nor_data_but_null_is_data() {
    let mut event = events().remove(5);
    let salt = event.payload.take().unwrap().salt;
    let text = to_json(&event);
    assert!(!text.contains("salt") && !text.contains("\"data\""), "{text}");
    assert_eq!(from_json(&text).unwrap(), event);
    event.payload = Some(Payload { salt, data: json("null") });
    assert_eq!(from_json(&to_json(&event)).unwrap(), event);
}

#[test]
fn only_the_one_form_of_an_event_is_read() {
    let text = to_json(&events()[1]);
    for (from, to) in [
        ("{\"actor\"", "{\"extra\":1,\"actor\""),
        ("{\"actor\"", "{\"actor\":\"system\",\"actor\""),
        ("\"actor\":\"system\",", ""),
        ("\"seq\":2", "\"seq\":2.0"),
        ("\"seq\":2", "\"seq\":-2"),
        (".003000Z", ".003Z"),
        (".003000Z", ".003000+00:00"),
        (".003000Z", ".0030000Z"),
        ("\"v\":1,", "\"v\":1,\"trace\":null,"),
        ("\"stream\":\"task_0", "\"stream\":\"ses_0"),
        ("\"stream\":\"task_0", "\"stream\":\"task_U"),
        ("\"hash\":\"", "\"hash\":\"0"),
        ("\"salt\":\"a2", "\"salt\":\"A2"),
        ("\"salt\":\"a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2\",", ""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(from_json(&changed).is_err(), "{changed}");
    }
    assert!(matches!(from_json("[]"), Err(FromJsonError::NotAnObject)));
    let upper = text.replacen("\"salt\":\"a2", "\"salt\":\"A2", 1);
    assert!(matches!(from_json(&upper), Err(FromJsonError::Member { member: "salt", .. })));
    assert!(from_json(&text.replace(',', " , ")).is_ok(), "whitespace between members changes nothing");
}

#[test]
fn a_whole_chain_verifies_and_says_which_payloads_are_gone() {
    let mut events = events();
    assert_eq!(check(&events), Ok(()));
    events[2].payload = None;
    events[3].payload = None;
    let mut verifier = verifier();
    for event in &events {
        assert!(!verifier.is_terminal());
        verifier.check(event).unwrap();
    }
    assert_eq!(verifier.missing(), [3, 4]);
    assert!(verifier.is_terminal());
    assert_eq!(verifier.head(), head_after(&events[5]));
}

#[test]
fn the_rest_of_a_chain_verifies_from_an_anchor() {
    let events = events();
    let mut rest = Verifier::after_anchor(TenantId::DEFAULT, STREAM, 3, events[2].hash);
    assert_eq!(events[3..].iter().try_for_each(|event| rest.check(event)), Ok(()));
    let mut wrong = Verifier::after_anchor(TenantId::DEFAULT, STREAM, 3, events[1].hash);
    assert_eq!(wrong.check(&events[3]).unwrap_err().fault, Fault::BrokenHash);
}

/// Changes of a good chain, the event that they show at, and what is said.
#[test]
fn every_change_is_found_where_it_shows() {
    type Change = fn(&mut Vec<Event>);
    let cases: &[(&str, Change, u64, Fault)] = &[
        ("removed", |e| drop(e.remove(2)), 3, Fault::Gap { found: 4 }),
        ("first removed", |e| drop(e.remove(0)), 1, Fault::Gap { found: 2 }),
        ("doubled", |e| e.insert(2, e[1].clone()), 3, Fault::Gap { found: 2 }),
        ("swapped", |e| e.swap(1, 2), 2, Fault::Gap { found: 3 }),
        ("actor", |e| e[1].actor = "usr_x".to_owned(), 2, Fault::BrokenHash),
        ("type", |e| e[1].kind = Cow::Borrowed("log"), 2, Fault::BrokenHash),
        ("body_v", |e| e[1].body_v = 2, 2, Fault::BrokenHash),
        ("ts", |e| e[1].ts = e[2].ts, 2, Fault::BrokenHash),
        ("trace", |e| e[4].trace = None, 5, Fault::BrokenHash),
        ("hash", |e| e[1].hash[31] ^= 1, 2, Fault::BrokenHash),
        ("data_hash", |e| e[1].data_hash[0] ^= 1, 2, Fault::BrokenHash),
        ("tenant", |e| e[1].tenant = TenantId([1; 16]), 2, Fault::ForeignStream),
        ("stream", |e| e[1].stream = StreamName::Task(TaskId([1; 16])), 2, Fault::ForeignStream),
        ("v", |e| e[1].v = 2, 2, Fault::UnknownVersion(2)),
        ("salt", |e| e[1].payload.as_mut().unwrap().salt[0] ^= 1, 2, Fault::PayloadAltered),
        ("data", |e| e[1].payload.as_mut().unwrap().data = json("{}"), 2, Fault::PayloadAltered),
        (
            "digest",
            |e| {
                crate::fixtures::set_data(&mut e[3], &serde_json::json!({"hash": "00", "upto_seq": 3}));
                relink(e);
            },
            4,
            Fault::DigestMismatch,
        ),
        (
            "history before a digest",
            |e| {
                e[1].actor = "usr_x".to_owned();
                relink(e);
            },
            4,
            Fault::DigestMismatch,
        ),
        (
            "time",
            |e| {
                e[2].ts = e[0].ts;
                relink(e);
            },
            3,
            Fault::TimeWentBack,
        ),
        (
            "added after the end",
            |e| crate::fixtures::push(e, everloop_types::event::Pausing { reason: None }, |_| {}),
            7,
            Fault::AfterTerminal,
        ),
    ];
    for (name, change, seq, fault) in cases {
        let mut events = events();
        change(&mut events);
        assert_eq!(check(&events), Err((*seq, fault.clone())), "{name}");
    }
}

#[test]
fn our_types_need_no_allocation() {
    assert!(matches!(kind_of("task.completed"), Cow::Borrowed("task.completed")));
    assert!(matches!(kind_of("custom.x"), Cow::Owned(_)));
}

proptest! {
    #[test]
    fn any_event_reads_back_and_verifies(
        actor: String, trace in proptest::option::of(any::<String>()), name: String, text: String,
        micros: i64, salt: [u8; 16], body_v: u32, tenant: [u8; 16], segment: u32,
    ) {
        let stream = StreamName::Audit(TenantId(tenant), segment);
        let draft = Draft {
            tenant: TenantId(tenant), stream, ts: Timestamp::from_micros(micros), kind: Cow::Owned(format!("custom.{name}")),
            body_v, actor, trace, salt, data: json(&serde_json::to_string(&text).unwrap()),
        };
        let event = link(&start(&stream), draft);
        prop_assert_eq!(&from_json(&to_json(&event)).unwrap(), &event);
        prop_assert!(is_canonical(&envelope(&event)));
        prop_assert_eq!(Verifier::new(TenantId(tenant), stream).check(&event), Ok(()));
    }

    #[test]
    fn no_changed_byte_of_an_event_goes_unseen(index in 0_usize..6, at: prop::sample::Index, bit in 0_u8..7) {
        let events = events();
        let mut bytes = to_json(&events[index]).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        if let Ok(event) = from_json(&text) {
            let mut verifier = verifier();
            let verified = events[..index].iter().try_for_each(|before| verifier.check(before))
                .and_then(|()| verifier.check(&event));
            prop_assert!(verified.is_err(), "{}", text);
        }
    }
}
