//! MySQL's packed decimal: text to bytes and back.
//!
//! Groups of nine digits from the point outwards, four bytes each, fewer for fewer digits; big-endian; the sign in the first
//! bit, negative values inverted. Used for DECIMAL columns and for the decimals inside JSON.

use std::fmt::Write as _;

use crate::core::value::ValueError;

/// Digits held by the four bytes of a full group.
const GROUP_DIGITS: u8 = 9;
/// Nine digits take four bytes, fewer take as many as they need.
const DIGIT_BYTES: [u8; 10] = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/// All digits of the scale, `-1.50`.
pub(super) fn to_text(precision: u8, scale: u8, raw: &[u8]) -> Result<String, ValueError> {
    let Some(whole) = precision.checked_sub(scale) else {
        return Err(content("a scale within the precision"));
    };
    let mut bytes = raw.to_vec();
    let Some(first) = bytes.first_mut() else {
        return Err(ValueError::Length { expected: 1, found: 0 });
    };
    let is_negative = *first & 0x80 == 0;
    *first ^= 0x80;
    if is_negative {
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
    }
    let mut left = bytes.as_slice();
    let mut digits = String::with_capacity(usize::from(precision) + 3);
    let mut groups = vec![whole % GROUP_DIGITS];
    groups.extend(std::iter::repeat_n(GROUP_DIGITS, usize::from(whole / GROUP_DIGITS)));
    groups.extend(std::iter::repeat_n(GROUP_DIGITS, usize::from(scale / GROUP_DIGITS)));
    groups.push(scale % GROUP_DIGITS);
    for group in groups {
        left = take_group(&mut digits, group, left)?;
    }
    if !left.is_empty() {
        return Err(ValueError::Length {
            expected: raw.len() - left.len(),
            found: raw.len(),
        });
    }
    let (before, after) = digits.split_at(usize::from(whole));
    let before = before.trim_start_matches('0');
    let sign = if is_negative { "-" } else { "" };
    let before = if before.is_empty() { "0" } else { before };
    let point = if after.is_empty() { "" } else { "." };
    Ok(format!("{sign}{before}{point}{after}"))
}

fn content(expected: &'static str) -> ValueError {
    ValueError::Content { expected }
}

fn take_group<'a>(digits: &mut String, group: u8, bytes: &'a [u8]) -> Result<&'a [u8], ValueError> {
    if group == 0 {
        return Ok(bytes);
    }
    let length = usize::from(DIGIT_BYTES[usize::from(group)]);
    let Some((value, left)) = bytes.split_at_checked(length) else {
        return Err(ValueError::Length {
            expected: length,
            found: bytes.len(),
        });
    };
    let value = value.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    if value >= 10u64.pow(u32::from(group)) {
        return Err(content("decimal digits"));
    }
    write!(digits, "{value:0width$}", width = usize::from(group)).expect("writing to a String cannot fail");
    Ok(left)
}

/// Precision and scale that hold exactly this text, no digit more.
#[must_use]
pub fn precision_of(text: &str) -> Option<(u8, u8)> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0').len();
    let scale = u8::try_from(fraction.len()).ok()?;
    Some((
        u8::try_from(whole.max(usize::from(scale == 0))).ok()?.checked_add(scale)?,
        scale,
    ))
}

/// Appends the packed form.
///
/// # Errors
/// The text is no decimal of that precision and scale.
pub fn push(out: &mut Vec<u8>, text: &[u8], precision: u8, scale: u8) -> Result<(), ValueError> {
    const EXPECTED: ValueError = ValueError::Content {
        expected: "a decimal of the column's precision",
    };
    let (is_negative, digits) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
    let whole_start = whole.iter().position(|byte| *byte != b'0').unwrap_or(whole.len());
    let whole = &whole[whole_start..];
    let (whole_digits, scale) = (usize::from(precision.saturating_sub(scale)), usize::from(scale));
    if whole.len() > whole_digits || fraction.len() > scale || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return Err(EXPECTED);
    }
    let start = out.len();
    let padding = std::iter::repeat_n(&b'0', whole_digits - whole.len());
    let mut padded: Vec<u8> = padding.chain(whole).chain(fraction).copied().collect();
    padded.resize(whole_digits + scale, b'0');
    let (first, rest) = padded.split_at(whole_digits);
    let (head, groups) = first.split_at(whole_digits % usize::from(GROUP_DIGITS));
    push_group(out, head);
    groups
        .chunks(9)
        .chain(rest.chunks(9))
        .for_each(|group| push_group(out, group));
    if is_negative {
        out[start..].iter_mut().for_each(|byte| *byte = !*byte);
    }
    *out.get_mut(start).ok_or(EXPECTED)? ^= 0x80;
    Ok(())
}

fn push_group(out: &mut Vec<u8>, digits: &[u8]) {
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    let bytes = usize::from(DIGIT_BYTES[digits.len()]);
    out.extend_from_slice(&value.to_be_bytes()[8 - bytes..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(text: &str, precision: u8, scale: u8) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, text.as_bytes(), precision, scale).unwrap();
        out
    }

    #[test]
    fn decimals_are_packed_as_the_server_packs_them() {
        // The example of MySQL's decimal2bin.
        assert_eq!(packed("1234567890.1234", 14, 4), [0x81, 0x0D, 0xFB, 0x38, 0xD2, 0x04, 0xD2]);
        assert_eq!(packed("-1234567890.1234", 14, 4), [0x7E, 0xF2, 0x04, 0xC7, 0x2D, 0xFB, 0x2D]);
    }

    #[test]
    fn a_decimal_that_does_not_fit_its_column_is_refused() {
        assert!(push(&mut Vec::new(), b"123.4", 3, 1).is_err());
        assert!(push(&mut Vec::new(), b"1x", 3, 0).is_err());
    }

    #[test]
    fn the_least_precision_has_no_leading_zero() {
        assert_eq!(precision_of("-0012.50"), Some((4, 2)));
        assert_eq!(precision_of("0.5"), Some((1, 1)));
        assert_eq!(precision_of("0"), Some((1, 0)));
    }

    proptest! {
        #[test]
        fn text_survives_packing(text in "-?(0|[1-9][0-9]{0,34})\\.[0-9]{1,30}") {
            let (precision, scale) = precision_of(&text).unwrap();
            let found = to_text(precision, scale, &packed(&text, precision, scale)).unwrap();
            prop_assert!(found == text || found.trim_matches(['-', '0', '.']).is_empty(), "{found} {text}");
        }
    }
}
