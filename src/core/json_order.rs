//! The letters of a large document's scalars, from the order in which the server finds them to the order of the text.
//!
//! Used by `core::json_text`. One walk that finds every scalar (`$**[0]`) must look for doubles, and takes 27 s for 700,000 of them; one
//! over all cells of arrays (`$**[*]`) and one over all members of objects (`$**.*`) need not. Each goes through the containers in the
//! order in which they begin, and through all that stands in one directly before what stands deeper.

use crate::core::value::ValueError;

/// Between the letters of cells and those of members.
pub const PARTS_MARK: u8 = b'|';

const MISFIT: ValueError = ValueError::Content {
    expected: "as many types as a json text has values",
};

/// One container.
struct Container {
    is_object: bool,
    scalars: usize,
}

/// `letters` are those of cells, `PARTS_MARK`, those of members; the text is a container as the server prints it.
///
/// # Errors
/// There are more or fewer scalars in the text.
pub(super) fn in_text_order(text: &[u8], letters: &[u8]) -> Result<Vec<u8>, ValueError> {
    let mark = letters.iter().position(|letter| *letter == PARTS_MARK).ok_or(MISFIT)?;
    let (cells, members) = (&letters[..mark], &letters[mark + 1..]);
    let (containers, places) = scan(text)?;
    let (mut cells_taken, mut members_taken) = (0, 0);
    let mut next: Vec<usize> = Vec::with_capacity(containers.len());
    for container in &containers {
        let taken = if container.is_object {
            &mut members_taken
        } else {
            &mut cells_taken
        };
        next.push(*taken);
        *taken += container.scalars;
    }
    if (cells_taken, members_taken) != (cells.len(), members.len()) {
        return Err(MISFIT);
    }
    let letter = |place: usize| {
        let source = if containers[place].is_object { members } else { cells };
        next[place] += 1;
        source[next[place] - 1]
    };
    Ok(places.into_iter().map(letter).collect())
}

/// The containers in the order in which they begin, and for each scalar the one that it stands in.
fn scan(text: &[u8]) -> Result<(Vec<Container>, Vec<usize>), ValueError> {
    let (mut containers, mut places): (Vec<Container>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let begin = at;
        at += 1;
        match byte {
            b'{' | b'[' => {
                open.push(containers.len());
                containers.push(Container {
                    is_object: *byte == b'{',
                    scalars: 0,
                });
                continue;
            }
            b'}' | b']' => {
                open.pop();
                continue;
            }
            b',' | b' ' => continue,
            b'"' => at = string_end(text, begin)?,
            _ => {
                let is_end = |byte: &u8| matches!(byte, b',' | b']' | b'}');
                at = text[begin..]
                    .iter()
                    .position(is_end)
                    .map_or(text.len(), |length| begin + length);
            }
        }
        if text.get(at) == Some(&b':') {
            at += 1;
            continue;
        }
        let place = *open.last().ok_or(MISFIT)?;
        containers[place].scalars += 1;
        places.push(place);
    }
    Ok((containers, places))
}

/// Behind the closing quote of the string that begins here.
fn string_end(text: &[u8], begin: usize) -> Result<usize, ValueError> {
    let mut at = begin + 1;
    loop {
        match text.get(at).ok_or(MISFIT)? {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_into_the_order_of_the_text() {
        // What MySQL 9.7.4 finds: of cells 2, 3, 4, 6; of members 1, 8, 7, 5.
        let text = br#"{"a": 1, "c": {"e": [], "f": {}, "x": 7}, "z": 8, "b\"]": [2, [3, 4], {"c": 5, "d": [6]}]}"#;
        assert_eq!(in_text_order(text, b"2346|1875").unwrap(), b"17823456");
        assert_eq!(
            in_text_order(br#"[1, {"a": [2, 3]}, [4, [5]], 6]"#, b"162345|").unwrap(),
            b"123456"
        );
        assert_eq!(
            in_text_order(br#"["a: b", "x\\", "\"", -1.5e3, null, {}]"#, b"ssbdn|").unwrap(),
            b"ssbdn"
        );
        assert_eq!(in_text_order(b"[]", b"|").unwrap(), b"");
        for (text, letters) in [
            (&b"[1]"[..], &b"|"[..]),
            (b"[1]", b"ii|"),
            (b"[1]", b"|i"),
            (b"1", b"i|"),
            (b"[\"a", b"s|"),
            (b"[1]", b"i"),
        ] {
            assert!(in_text_order(text, letters).is_err(), "{letters:?}");
        }
    }
}
