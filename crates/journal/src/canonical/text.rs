//! Strings: how they are escaped, and how members are ordered.

use std::cmp::Ordering;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the bytes of a word that end a plain run of a string. Only the lowest mark is exact, which is the one that is used.
fn special(word: u64) -> u64 {
    let quote = word ^ (LOW * b'"' as u64);
    let backslash = word ^ (LOW * b'\\' as u64);
    let below_space = word.wrapping_sub(LOW * 0x20) & !word;
    let is_quote = quote.wrapping_sub(LOW) & !quote;
    let is_backslash = backslash.wrapping_sub(LOW) & !backslash;
    (below_space | is_quote | is_backslash) & HIGH
}

/// How many bytes stand before the first quote, backslash or control character (or the end).
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let marks = special(u64::from_le_bytes(*word));
        if marks != 0 {
            return len + (marks.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    len + rest.iter().take_while(|&&c| c >= 0x20 && c != b'"' && c != b'\\').count()
}

/// Appends a JSON string in the form of RFC 8785 section 3.2.2.2, with its quotes.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest.as_bytes()));
        out.push_str(plain);
        let mut chars = tail.chars();
        let Some(c) = chars.next() else { break };
        write_char(out, c);
        rest = chars.as_str();
    }
    out.push('"');
}

/// Appends one character as it stands inside of a canonical string.
pub(super) fn write_char(out: &mut String, c: char) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\0'..='\u{1f}' => {
            out.push_str("\\u00");
            out.push(if c < '\u{10}' { '0' } else { '1' });
            out.push(char::from(HEX[c as usize & 15]));
        }
        other => out.push(other),
    }
}

/// The order of RFC 8785 section 3.2.3: by UTF-16 code units.
///
/// It is the order of the UTF-8 bytes, but that characters above U+FFFF stand before U+E000 to U+FFFF, because their
/// surrogates begin at U+D800.
pub fn compare_utf16(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    match a.iter().zip(b).find(|(x, y)| x != y) {
        None => a.len().cmp(&b.len()),
        Some((x, y)) if *x >= 0xee && *y >= 0xee => {
            let rank = |lead: u8| if lead >= 0xf0 { 0 } else { 1 };
            rank(*x).cmp(&rank(*y)).then(x.cmp(y))
        }
        Some((x, y)) => x.cmp(y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn strings_are_escaped_as_rfc_8785_says() {
        let mut out = String::new();
        write_string(&mut out, "\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}\u{1f}");
        assert_eq!(out, "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\\u001f\"");
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_utf_16(a in "[\u{0}-\u{10ffff}]{0,3}", b in "[a\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}",
                                       c in "[a\u{d7ff}\u{e000}\u{ffff}\u{10000}\u{10ffff}]{0,3}") {
            for (x, y) in [(&a, &b), (&b, &c)] {
                prop_assert_eq!(compare_utf16(x, y), x.encode_utf16().cmp(y.encode_utf16()));
            }
        }

        #[test]
        fn plain_runs_end_where_a_slow_look_says(bytes: Vec<u8>, tame in "[a-zä€ ]{0,40}[\"\\\\\n]?[a-z]{0,9}") {
            for bytes in [bytes.as_slice(), tame.as_bytes()] {
                let slow = bytes.iter().position(|&c| c < 0x20 || c == b'"' || c == b'\\').unwrap_or(bytes.len());
                prop_assert_eq!(plain_len(bytes), slow);
            }
        }

        #[test]
        fn escaping_agrees_with_serde_json(text: String) {
            let mut out = String::new();
            write_string(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_string(&text).unwrap());
        }
    }
}
