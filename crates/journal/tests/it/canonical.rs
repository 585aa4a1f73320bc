//! What is canonical, what is refused, and the numbers of RFC 8785.

use everloop_journal::canonical::{
    Reason, canonicalize, canonicalize_to_string, compare_utf16, is_canonical, to_canonical, write_string,
};
use everloop_types::error::Code;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// RFC 8785 appendix B: bits of a double, and how it is written.
const NUMBERS: &[(u64, &str)] = &[
    (0x0000000000000000, "0"),
    (0x8000000000000000, "0"),
    (0x0000000000000001, "5e-324"),
    (0x8000000000000001, "-5e-324"),
    (0x7fefffffffffffff, "1.7976931348623157e+308"),
    (0xffefffffffffffff, "-1.7976931348623157e+308"),
    (0x4340000000000000, "9007199254740992"),
    (0xc340000000000000, "-9007199254740992"),
    (0x4430000000000000, "295147905179352830000"),
    (0x44b52d02c7e14af5, "9.999999999999997e+22"),
    (0x44b52d02c7e14af6, "1e+23"),
    (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
    (0x444b1ae4d6e2ef4e, "999999999999999700000"),
    (0x444b1ae4d6e2ef4f, "999999999999999900000"),
    (0x444b1ae4d6e2ef50, "1e+21"),
    (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
    (0x3eb0c6f7a0b5ed8d, "0.000001"),
    (0x41b3de4355555553, "333333333.3333332"),
    (0x41b3de4355555554, "333333333.33333325"),
    (0x41b3de4355555555, "333333333.3333333"),
    (0x41b3de4355555556, "333333333.3333334"),
    (0x41b3de4355555557, "333333333.33333343"),
    (0xbecbf647612f3696, "-0.0000033333333333333333"),
    (0x43143ff3c1cb0959, "1424953923781206.2"),
];

#[test]
fn doubles_are_written_as_rfc_8785_says() {
    for (bits, text) in NUMBERS {
        let literal = format!("{:e}", f64::from_bits(*bits));
        assert_eq!(canonicalize_to_string(literal.as_bytes()).unwrap(), *text, "{bits:x} {literal}");
        assert!(is_canonical(text), "{text}");
    }
}

#[test]
fn the_examples_of_rfc_8785_come_out() {
    for (text, canonical) in [
        (
            r#"{
  "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"#,
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
        ),
        (
            r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
               "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#,
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}",
        ),
    ] {
        assert_eq!(canonicalize(text.as_bytes()).unwrap().as_str(), canonical);
    }
}

#[test]
fn integers_of_64_bits_keep_their_digits() {
    for (text, canonical) in [
        ("9007199254740993", "9007199254740993"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-0e9", "0"),
        ("1.0", "1"),
        ("9007199254740993.0", "9007199254740992"),
        ("100000000000000000000", "100000000000000000000"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("18446744073709551616.0", "18446744073709552000"),
        ("1e-400", "0"),
        ("0.1e1", "1"),
    ] {
        assert_eq!(canonicalize_to_string(text.as_bytes()).as_deref(), Ok(canonical), "{text}");
    }
}

#[test]
fn what_has_no_canonical_form_is_refused_with_its_place() {
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let deep_path = format!("${}", "[0]".repeat(64));
    let deep_objects = "{\"a\":".repeat(65);
    let deep_objects_path = format!("${}", ".a".repeat(64));
    let long = format!("{{\"{}\":?}}", "n".repeat(99));
    let long_path = format!("$[\"{}…\"]", "n".repeat(64));
    let cases: Vec<(&[u8], &str, Reason, usize)> = vec![
        (b"", "$", Reason::UnexpectedEnd, 0),
        (b" ", "$", Reason::UnexpectedEnd, 1),
        (b"{\"a\":[1,2,3,{\"b\":18446744073709551616}]}", "$.a[3].b", Reason::InexactInteger, 17),
        (b"[-9223372036854775809]", "$[0]", Reason::InexactInteger, 1),
        (b"1000000000000000000000", "$", Reason::InexactInteger, 0),
        (b"{\"a b\":1e999}", "$[\"a b\"]", Reason::Overflow, 7),
        (b"{\"a\":1,\"b\":2,\"a\":3}", "$.a", Reason::DuplicateKey, 13),
        (b"{\"x\":{\"a\":1,\"\\u0061\":2}}", "$.x.a", Reason::DuplicateKey, 12),
        (b"[\"\\ud800\"]", "$[0]", Reason::LoneSurrogate, 2),
        (b"[\"\\ud800\\ud800\"]", "$[0]", Reason::LoneSurrogate, 2),
        (b"\"\\udc00\"", "$", Reason::LoneSurrogate, 1),
        (b"\"\xff\"", "$", Reason::InvalidUtf8, 1),
        (b"1 2", "$", Reason::TrailingText, 2),
        (b"\xef\xbb\xbf1", "$", Reason::Syntax("a value was expected"), 0),
        (b"{\"1a\":1e999}", "$[\"1a\"]", Reason::Overflow, 6),
        (b"{\"_a\":1e999}", "$._a", Reason::Overflow, 6),
        (deep.as_bytes(), &deep_path, Reason::TooDeep, 64),
        (deep_objects.as_bytes(), &deep_objects_path, Reason::TooDeep, 320),
        (long.as_bytes(), &long_path, Reason::Syntax("a value was expected"), 103),
        (b"{\"a\"", "$", Reason::UnexpectedEnd, 4),
        (b"{\"a\":", "$.a", Reason::UnexpectedEnd, 5),
    ];
    for (text, path, reason, offset) in cases {
        let error = canonicalize(text).unwrap_err();
        let shown = String::from_utf8_lossy(text);
        assert_eq!((error.path.as_str(), &error.reason, error.offset), (path, &reason, offset), "{shown}");
        let refusal = error.refusal();
        assert_eq!((refusal.code, refusal.errors[0].field.as_str()), (Code::NotCanonical, path));
    }
    assert_eq!(
        canonicalize(br#"{"a":[1e999]}"#).unwrap_err().to_string(),
        "$.a[0]: the number is too large for a double; send it as a string (byte 6)"
    );
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "nul",
        "True",
        "'a'",
        "{a:1}",
        "[1,]",
        "{\"a\":1,}",
        "[,1]",
        "{,}",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e1",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "\"\t\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u12\"",
        "\"a",
        "\"\\",
        "[1",
        "[1}",
        "{\"a\":1]",
        "]",
        "// c\n1",
        "1,",
        "{\"a\" 1}",
        "{1:1}",
        "\"\\ud83d\\u12\"",
        "[1 2]",
        "-01",
        "\u{a0}1",
    ] {
        assert!(canonicalize(text.as_bytes()).is_err(), "{text}");
        assert!(serde_json::from_str::<Value>(text).is_err(), "{text}");
    }
    let deep = format!("{}{}", "{\"a\":[".repeat(32), "]}".repeat(32));
    assert!(canonicalize(deep.as_bytes()).is_ok(), "64 levels are allowed");
    assert!(to_canonical(&std::collections::BTreeMap::from([((1, 2), 3)])).is_err());
}

/// The canonical form by another way: a tree, sorted by the UTF-16 of its names.
fn reference(value: &Value, out: &mut String) {
    match value {
        Value::Number(n) if n.is_f64() => {
            out.push_str(ryu_js::Buffer::new().format_finite(n.as_f64().unwrap()));
        }
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                reference(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            out.push('{');
            for (i, (name, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(name).unwrap());
                out.push(':');
                reference(member, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            out.push_str(&value.to_string())
        }
    }
}

/// Another text for the same value: members permuted, characters escaped, whitespace anywhere.
struct Scrambler(u64);

impl Scrambler {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn space(&mut self, out: &mut String) {
        out.push_str(["", "", "", " ", "\n\t", "\r "][self.below(6)]);
    }

    fn text(&mut self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            if self.below(4) == 0 {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let upper = self.below(2) == 0;
                    *out += &if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                }
            } else if c == '/' && self.below(2) == 0 {
                out.push_str("\\/");
            } else {
                let mut quoted = String::new();
                write_string(&mut quoted, c.encode_utf8(&mut [0; 4]));
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        out.push('"');
    }

    fn value(&mut self, value: &Value, out: &mut String) {
        self.space(out);
        match value {
            Value::String(text) => self.text(text, out),
            Value::Number(n) if n.is_f64() => *out += &format!("{:e}", n.as_f64().unwrap()),
            Value::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    self.value(item, out);
                }
                self.space(out);
                out.push(']');
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                for i in (1..members.len()).rev() {
                    members.swap(i, self.below(i + 1));
                }
                out.push('{');
                for (i, (name, member)) in members.into_iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    self.space(out);
                    self.text(name, out);
                    self.space(out);
                    out.push(':');
                    self.value(member, out);
                }
                self.space(out);
                out.push('}');
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => *out += &value.to_string(),
        }
        self.space(out);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-c]{0,3}",
        "[a\"\\\\/\u{0}-\u{1f}\u{7f}ä€\u{d7ff}\u{e000}\u{fb33}\u{ffff}😀\u{10ffff}]{0,6}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-20_i64..20).prop_map(Value::from),
        any::<u64>().prop_map(|bits| Value::from(f64::from_bits(bits))),
        (any::<i32>(), -8_i32..8).prop_map(|(n, e)| Value::from(f64::from(n) * 10_f64.powi(e))),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..6)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            x == y || x.is_f64() != y.is_f64() && x.as_f64() == y.as_f64() || {
                // serde_json may read the last digit of a double another way than it was written.
                let (x, y) = (x.as_f64().unwrap(), y.as_f64().unwrap());
                a.is_f64() && b.is_f64() && (x - y).abs() <= x.abs() * 1e-15
            }
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_text_of_a_value_has_the_one_form(value in value(), seed: u64) {
        let mut expected = String::new();
        reference(&value, &mut expected);
        let mut scrambled = String::new();
        Scrambler(seed).value(&value, &mut scrambled);
        let canonical = canonicalize_to_string(scrambled.as_bytes());
        prop_assert_eq!(canonical.as_deref(), Ok(expected.as_str()), "{}", scrambled);
        prop_assert!(is_canonical(&expected));
        let read: Value = serde_json::from_str(&expected).unwrap();
        prop_assert!(same(&value, &read), "{} {}", value, read);
    }

    #[test]
    fn foreign_bytes_are_refused_or_become_json_that_stays(bytes in "[\\[\\]{}\",:\\\\u0-9a-f.eE+ -]{0,24}") {
        let by_serde = serde_json::from_str::<Value>(&bytes);
        match canonicalize_to_string(bytes.as_bytes()) {
            Ok(canonical) => {
                prop_assert!(is_canonical(&canonical), "{}", canonical);
                prop_assert!(by_serde.is_ok(), "{}", bytes);
            }
            Err(error) => {
                let ours = matches!(error.reason, Reason::DuplicateKey | Reason::InexactInteger);
                prop_assert!(by_serde.is_err() || ours, "{}: {}", bytes, error);
            }
        }
    }

    #[test]
    fn names_are_ordered_like_their_utf_16(a in text(), b in text()) {
        prop_assert_eq!(compare_utf16(&a, &b), a.encode_utf16().cmp(b.encode_utf16()));
    }
}
