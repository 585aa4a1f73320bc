//! Lower-case hexadecimal, as hashes and salts are written in JSON.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends the bytes, two digits each.
pub fn write(out: &mut String, bytes: &[u8]) {
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// The bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::new();
    write(&mut out, bytes);
    out
}

/// The bytes that a text of exactly their length stands for; none for anything else, upper-case digits included, because
/// two texts for one hash would let a file be changed without notice.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let value = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_of_the_right_length_is_read() {
        assert_eq!(encode(&[0, 0x9a, 0xff]), "009aff");
        assert_eq!(decode("009aff"), Some([0, 0x9a, 0xff]));
        for bad in ["", "009a", "009aff0", "009AFF", "009afg", "009aff00"] {
            assert_eq!(decode::<3>(bad), None, "{bad}");
        }
    }
}
