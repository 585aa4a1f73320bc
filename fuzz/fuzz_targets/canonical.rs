//! Canonical JSON: it is its own canonical form, and serde_json reads it and the text that it was made of as the same value.

#![no_main]

use everloop_journal::canonical;
use libfuzzer_sys::fuzz_target;
use serde_json::{Number, Value};

/// Whether two numbers are the same: `1e2` is `100`, and `-0` is `0`.
fn same_number(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fuzz_target!(|text: &[u8]| {
    let Ok(json) = canonical::canonicalize(text) else { return };
    assert!(canonical::is_canonical(json.as_str()));
    assert_eq!(
        canonical::canonicalize_to_string(json.as_str().as_bytes()).expect("canonical"),
        json.as_str()
    );
    let given: Value = serde_json::from_slice(text).expect("serde_json reads what was accepted");
    let made: Value = json.parse().expect("serde_json reads what was made");
    assert!(same(&given, &made), "{given} became {made}");
});
