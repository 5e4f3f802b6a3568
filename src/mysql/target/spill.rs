//! A statement that is longer than a packet: its long values go to the server before it, in pieces.
//!
//! Used by `apply`. As SQL a value takes two bytes for one, so a BLOB that the source took in one packet does not fit one of the
//! target. The pieces are put together in user variables, which hold as much as a packet; a value beyond that stays where it is.

/// Hex digits from which a value is taken out: two of them more or less decide nothing.
const LONG_DIGITS: usize = 1 << 20;
/// Bytes of a value in one piece, at most: a packet of 8 MiB.
const PIECE_BYTES: usize = 4 << 20;

/// The statement without its long values, and the statements that must run before it, each in a packet of its own.
#[derive(Debug, Default)]
pub(super) struct Spilled {
    pub before: Vec<String>,
    pub sql: String,
    pub after: String,
}

/// Takes the long values out of a statement.
pub(super) fn spill(sql: &str, packet_bytes_max: usize) -> Spilled {
    let mut spilled = Spilled::default();
    let piece_digits = 2 * PIECE_BYTES.min(packet_bytes_max / 4);
    let (mut rest, mut variables) = (sql, 0);
    while let Some((head, digits, tail)) = long_value(rest, packet_bytes_max) {
        let variable = format!("@peer_value_{variables}");
        variables += 1;
        let mut known = format!("SET {variable} = ");
        for piece in digits.as_bytes().chunks(piece_digits) {
            let piece = std::str::from_utf8(piece).unwrap_or_default();
            spilled.before.push(format!(
                "{known}x'{piece}'{}",
                if known.contains("CONCAT") { ")" } else { "" }
            ));
            known = format!("SET {variable} = CONCAT({variable}, ");
        }
        match introducer(head) {
            Some((head, charset)) => {
                spilled.sql.push_str(head);
                spilled.sql.push_str(&format!("CONVERT({variable} USING {charset})"));
            }
            None => {
                spilled.sql.push_str(head);
                spilled.sql.push_str(&variable);
            }
        }
        spilled.after.push_str(if spilled.after.is_empty() { "SET " } else { ", " });
        spilled.after.push_str(&format!("{variable} = NULL"));
        rest = tail;
    }
    spilled.sql.push_str(rest);
    spilled
}

/// The first long value: what stands before its `x'`, its digits, what stands behind its `'`. No other text of ours has digits
/// directly behind `x'`: plain text never holds a quote.
fn long_value(sql: &str, packet_bytes_max: usize) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = sql[from..].find("x'") {
        let start = from + found + 2;
        let length = sql[start..].bytes().take_while(u8::is_ascii_hexdigit).count();
        if length >= LONG_DIGITS && length / 2 < packet_bytes_max && sql[start + length..].starts_with('\'') {
            return Some((&sql[..start - 2], &sql[start..start + length], &sql[start + length + 1..]));
        }
        from = start + length;
    }
    None
}

/// What stands before `_utf8mb4 `, and the character set.
fn introducer(head: &str) -> Option<(&str, &str)> {
    let word = head.strip_suffix(' ')?;
    let at = word
        .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .map_or(0, |at| at + 1);
    let charset = word[at..].strip_prefix('_')?;
    Some((&word[..at], charset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_become_variables_made_of_pieces() {
        let (blob, text) = ("ab".repeat(5 << 20), "cd".repeat(1 << 20));
        let sql = format!("INSERT INTO t VALUES (1,x'{blob}',_gbk x'{text}','x',x'ab')");
        let spilled = spill(&sql, 64 << 20);
        let expected = "INSERT INTO t VALUES (1,@peer_value_0,CONVERT(@peer_value_1 USING gbk),'x',x'ab')";
        assert_eq!(spilled.sql, expected);
        let heads: Vec<&str> = spilled.before.iter().map(|sql| sql.split('\'').next().unwrap()).collect();
        let more = "SET @peer_value_0 = CONCAT(@peer_value_0, x";
        assert_eq!(heads, ["SET @peer_value_0 = x", more, "SET @peer_value_1 = x"]);
        assert!(spilled.before[1].ends_with("')"), "the call is closed");
        assert_eq!(spilled.after, "SET @peer_value_0 = NULL, @peer_value_1 = NULL");
    }

    #[test]
    fn a_value_that_no_variable_holds_stays() {
        let sql = format!("INSERT INTO t VALUES (x'{}')", "ab".repeat(3 << 20));
        assert_eq!(spill(&sql, 2 << 20).sql, sql);
    }
}
