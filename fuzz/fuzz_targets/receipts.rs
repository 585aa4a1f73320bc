//! The verifier of receipts and exports: it never panics, and never verifies what was altered.
//!
//! The fuzzer has no private key, so what is verified can only be a part of the exports in `docs/vectors`: a receipt that was
//! signed there, and events that stand there, whole or without their payload. Input whose first byte is even is a text; any
//! other is a list of edits to a genuine export, because nobody guesses a hash.

#![no_main]

use everloop_journal::chain;
use everloop_journal::export::{self, Verdict};
use everloop_journal::keys::Jwks;
use everloop_journal::receipt;
use everloop_types::event::Event;
use everloop_types::receipt::{AnchorClaims, ReceiptClaims};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

const EXPORTS: [&str; 4] = [
    include_str!("../../docs/vectors/finished.jsonl"),
    include_str!("../../docs/vectors/payloads-gone.jsonl"),
    include_str!("../../docs/vectors/receipt-only.jsonl"),
    include_str!("../../docs/vectors/trimmed.jsonl"),
];

static KEYS: LazyLock<Jwks> = LazyLock::new(|| {
    Jwks::from_json(include_str!("../../docs/vectors/jwks.json")).expect("docs/vectors/jwks.json")
});

/// Every event of the genuine exports.
static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| {
    EXPORTS.iter().flat_map(|text| text.lines()).filter_map(|l| chain::from_json(l).ok()).collect()
});

/// Every JWS of the genuine exports.
static SIGNED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let words = EXPORTS.iter().flat_map(|text| text.split(['"', '\n']));
    words
        .filter(|word| {
            receipt::read::<ReceiptClaims>(word).is_ok() || receipt::read::<AnchorClaims>(word).is_ok()
        })
        .map(str::to_owned)
        .collect()
});

/// Applies edits of four bytes: where (two), what (one), with what (one).
fn edited(export: &str, edits: &[u8]) -> Vec<u8> {
    let mut text = export.as_bytes().to_vec();
    for edit in edits.as_chunks::<4>().0 {
        if text.is_empty() {
            break;
        }
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % text.len();
        match edit[2] % 4 {
            0 => text[place] = edit[3],
            1 => text.insert(place, edit[3]),
            2 => {
                text.remove(place);
            }
            // A line goes elsewhere, or away.
            _ => {
                let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
                let line = lines.remove(place % lines.len());
                if edit[3] & 1 == 0 {
                    lines.insert(usize::from(edit[3]) % (lines.len() + 1), line);
                }
                text = lines.join(&b'\n');
            }
        }
    }
    text
}

fn check(text: &str) {
    if receipt::verify::<ReceiptClaims>(text, &KEYS).is_ok()
        || receipt::verify::<AnchorClaims>(text, &KEYS).is_ok()
    {
        assert!(SIGNED.iter().any(|jws| jws == text), "verified, and nobody signed it: {text}");
    }
    // Without trusted keys nothing is proved, and nothing may panic.
    if let Ok(report) = export::verify_text(text, None) {
        assert!(!matches!(report.verdict, Verdict::Verified { .. }), "verified without a key");
    }
    let Ok(report) = export::verify_text(text, Some(&KEYS)) else { return };
    let Verdict::Verified { .. } = report.verdict else { return };
    for word in text.split(['"', '\n']).map(str::trim) {
        if receipt::read::<ReceiptClaims>(word).is_ok() {
            assert!(SIGNED.iter().any(|jws| jws == word), "verified, and nobody signed it: {word}");
        }
        // An anchor of an unknown signer is held against the receipt, in whose root the chain from it ends: so it may be
        // called another's, and must claim the same.
        if let Ok(anchor) = receipt::read::<AnchorClaims>(word) {
            let genuine = SIGNED.iter().filter_map(|jws| receipt::read::<AnchorClaims>(jws).ok());
            assert!(genuine.into_iter().any(|known| known.claims == anchor.claims), "another anchor: {word}");
        }
    }
    let mut seen = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Ok(event) = chain::from_json(line.trim()) else { continue };
        let genuine = EVENTS.iter().any(|known| {
            known.hash == event.hash
                && chain::envelope(known) == chain::envelope(&event)
                && (event.payload.is_none() || event.payload == known.payload)
        });
        // A payload that is gone in one export stands in another.
        assert!(genuine, "verified, and altered: {line}");
        seen += 1;
    }
    assert_eq!(seen, report.events, "verified, and other events than are there");
}

fuzz_target!(|input: &[u8]| {
    let Some((first, rest)) = input.split_first() else { return };
    if first % 2 == 1 {
        let export = EXPORTS[usize::from(first / 2) % EXPORTS.len()];
        // As it is it has to verify, or this program looks for nothing.
        assert!(matches!(
            export::verify_text(export, Some(&KEYS)).expect("a genuine export").verdict,
            Verdict::Verified { .. }
        ));
        check(&String::from_utf8_lossy(&edited(export, rest)));
    } else if let Ok(text) = std::str::from_utf8(rest) {
        check(text);
    }
});
