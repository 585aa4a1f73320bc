//! The history that the tests and the vectors in `docs/vectors/` share. Everything in it is fixed.

use everloop_journal::canonical::{canonicalize, to_canonical};
use everloop_journal::chain::{Draft, head_after, link, start};
use everloop_journal::digest::intent;
use everloop_journal::hex;
use everloop_journal::keys::SigningKey;
use everloop_types::event::*;
use everloop_types::id::{TaskId, TenantId};
use everloop_types::json::Json;
use everloop_types::stream::StreamName;
use everloop_types::task::TaskSpec;
use everloop_types::time::Timestamp;

pub(crate) const TASK: TaskId = TaskId(*b"\x01\x98\x2d\x5a\x8e\x00\x70\x00\x80\x00\x00\x00\x00\x00\x00\x01");
pub(crate) const STREAM: StreamName = StreamName::Task(TASK);

pub(crate) fn json(text: &str) -> Json {
    canonicalize(text.as_bytes()).unwrap()
}

/// The seed of the key that signs the vectors: the bytes 0 to 31.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&std::array::from_fn(|i| i as u8))
}

pub(crate) fn draft(head: &Head, body: impl Into<EventBody>) -> Draft {
    let (body, seq) = (body.into(), head.seq + 1);
    Draft {
        tenant: TenantId::DEFAULT,
        stream: STREAM,
        ts: Timestamp::from_micros(1_767_225_600_000_000 + i64::try_from(seq).unwrap() * 1_500),
        kind: body.kind(),
        body_v: 1,
        actor: "system".to_owned(),
        trace: None,
        salt: [0xa0 + u8::try_from(seq % 16).unwrap(); 16],
        data: body.data().unwrap(),
    }
}

pub(crate) fn push(events: &mut Vec<Event>, body: impl Into<EventBody>, change: impl FnOnce(&mut Draft)) {
    let head = events.last().map_or(start(&STREAM), head_after);
    let mut draft = draft(&head, body);
    change(&mut draft);
    events.push(link(&head, draft));
}

/// A finished task: six events, the fourth a digest, the fifth with a trace and text beyond ASCII.
pub(crate) fn events() -> Vec<Event> {
    let mut events = Vec::new();
    let mut spec = TaskSpec::new("mock");
    spec.input = Some(json("{\"Grüße\": \"aus Köln\", \"n\": 9007199254740993, \"rate\": 0.10}"));
    spec.key = Some("digest-1".to_owned());
    push(&mut events, EventBody::Submitted(Box::new(spec)), |draft| {
        draft.actor = "usr_00000000000000000000000000".to_owned();
    });
    let worker = "wkr_01k0pn53g0e0080000000000w1".to_owned();
    push(&mut events, Started { attempt: 1, kind_version: None, worker: worker.clone() }, |_| {});
    let started_at = events[1].ts;
    let step = StepCompleted {
        attempt: 1,
        code_version: None,
        intent: intent(&json("{\"url\":\"https://example.com/ä\"}")),
        kind: "http".to_owned(),
        result: json("{\"status\":200}"),
        started_at,
        step: "fetch#1".to_owned(),
    };
    push(&mut events, step, |draft| draft.actor.clone_from(&worker));
    let digest = Digest { hash: hex::encode(&events[2].hash), upto_seq: 3 };
    push(&mut events, digest, |_| {});
    let log = Log {
        base64: None,
        level: Level::Info,
        offset: 0,
        source: "stdout".to_owned(),
        text: Some("日本語 \"😀\" \u{1}\n".to_owned()),
    };
    push(&mut events, log, |draft| {
        draft.actor.clone_from(&worker);
        draft.trace = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    });
    let done =
        Completed { continued_as: None, result: json("{\"summary\":\"fertig ✓\"}"), unconsumed: vec![] };
    push(&mut events, done, |draft| draft.actor = worker);
    events
}

/// Links the events anew after something in them was changed, as somebody could who wants to hide it.
pub(crate) fn relink(events: &mut [Event]) {
    let mut head = start(&STREAM);
    for event in events {
        let payload = event.payload.clone().unwrap();
        // A head without a time lets the event keep its own.
        let blind = Head { ts: Timestamp::MIN, ..head };
        *event = link(
            &blind,
            Draft {
                tenant: event.tenant,
                stream: event.stream,
                ts: event.ts,
                kind: event.kind.clone(),
                body_v: event.body_v,
                actor: event.actor.clone(),
                trace: event.trace.clone(),
                salt: payload.salt,
                data: payload.data,
            },
        );
        head = head_after(event);
    }
}

pub(crate) fn set_data(event: &mut Event, data: &serde_json::Value) {
    event.payload.as_mut().unwrap().data = to_canonical(data).unwrap();
}
