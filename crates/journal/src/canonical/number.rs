//! Numbers: kept digit for digit, or written as ECMAScript writes a double.

use super::Reason;
use std::ops::RangeInclusive;

/// Integers that keep their digits: every i64 and every u64.
const KEPT: RangeInclusive<i128> = i64::MIN as i128..=u64::MAX as i128;

/// So many digits always fit.
const SAFE_DIGITS: usize = 18;

/// What becomes of a number literal.
pub(super) enum Canonical<'b> {
    /// It stays as it is.
    Same,
    /// It is written like this.
    Other(&'b str),
}

/// The canonical form of a literal that follows the grammar of RFC 8259. `integer`: it has no fraction and no exponent.
pub(super) fn canonical<'b>(
    literal: &str,
    integer: bool,
    buffer: &'b mut ryu_js::Buffer,
) -> Result<Canonical<'b>, Reason> {
    if integer {
        if literal == "-0" {
            return Ok(Canonical::Other("0"));
        }
        if literal.len() <= SAFE_DIGITS || literal.parse().is_ok_and(|n: i128| KEPT.contains(&n)) {
            return Ok(Canonical::Same);
        }
    }
    // Rust reads the nearest double, ties to even, as ECMAScript does.
    let double: f64 = literal.parse().map_err(|_| Reason::Syntax("a number was expected"))?;
    if !double.is_finite() {
        return Err(Reason::Overflow);
    }
    let written = buffer.format_finite(double);
    if written == literal {
        Ok(Canonical::Same)
    } else if integer {
        Err(Reason::InexactInteger)
    } else {
        Ok(Canonical::Other(written))
    }
}
