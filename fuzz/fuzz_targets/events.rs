//! The event decoder: it never panics, and what it accepts it writes and reads again as the same.

#![no_main]

use everloop_journal::chain::{self, Verifier};
use everloop_types::event::EventBody;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut verifier: Option<Verifier> = None;
    for line in text.lines() {
        let Ok(event) = chain::from_json(line) else { continue };
        let written = chain::to_json(&event);
        assert_eq!(chain::from_json(&written).expect("what was written is read"), event);
        // A chain that fits or not: neither is a panic.
        let _ = verifier.get_or_insert_with(|| Verifier::new(event.tenant, event.stream)).check(&event);
        let Some(payload) = &event.payload else { continue };
        let Ok(body) = EventBody::read(&event.kind, event.body_v, &payload.data) else { continue };
        let data = body.data().expect("a body that was read can be written");
        let again = EventBody::read(&body.kind(), event.body_v, &data).expect("a body is read again");
        assert_eq!(again.data().expect("it can be written").as_str(), data.as_str());
        assert_eq!(again.kind(), event.kind);
    }
});
