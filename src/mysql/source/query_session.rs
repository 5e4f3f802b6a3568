//! What a Query event says of the session the statement ran in: its status variables.
//!
//! Used by `assembler` for statements that define tables. A variable this version does not know ends the reading, because its
//! length is not known; those that matter here come before newer ones.

use crate::core::ddl::DdlSession;
use crate::mysql::source::event::Cursor;

/// Count of schemas above which the server lists none.
const SCHEMAS_MAX: usize = 254;

/// Reads the status variables (mysql: `libs/mysql/binlog/event/statement_events.h`); `seconds` is the event's time.
pub(super) fn read(status: &[u8], default_schema: &str, seconds: u32) -> DdlSession {
    let mut session = DdlSession {
        default_schema: default_schema.to_owned(),
        timestamp_us: u64::from(seconds) * 1_000_000,
        ..DdlSession::default()
    };
    let mut cursor = Cursor::new(status);
    while take_one(&mut cursor, &mut session, &mut None).is_some() {}
    session
}

/// The schemas in which a statement changes rows: by itself, by triggers, functions and views. None: the server does not say,
/// as for a table that others refer to.
pub(super) fn updated_schemas(status: &[u8]) -> Option<Vec<String>> {
    let (mut cursor, mut updated) = (Cursor::new(status), None);
    while take_one(&mut cursor, &mut DdlSession::default(), &mut updated).is_some() {}
    updated
}

/// None: at the end, or at something unknown.
fn take_one(cursor: &mut Cursor<'_>, session: &mut DdlSession, updated: &mut Option<Vec<String>>) -> Option<()> {
    match cursor.uint(1)? {
        // Flags.
        0 => cursor.skip(4),
        1 => {
            session.sql_mode = cursor.uint(8)? as u64;
            Some(())
        }
        // Catalogue with a final zero.
        2 => {
            let length = cursor.uint(1)?;
            cursor.skip(length + 1)
        }
        // Steps of AUTO_INCREMENT; bytes received.
        3 | 10 => cursor.skip(4),
        4 => {
            let mut number = || u16::try_from(cursor.uint(2)?).ok();
            session.collations = Some([number()?, number()?, number()?]);
            Some(())
        }
        5 => {
            let length = cursor.uint(1)?;
            session.time_zone = Some(String::from_utf8_lossy(cursor.take(length)?).into_owned());
            Some(())
        }
        // Catalogue.
        6 => {
            let length = cursor.uint(1)?;
            cursor.skip(length)
        }
        // Language of month names; character set of the default schema.
        7 | 8 => cursor.skip(2),
        // Tables to update; the transaction's number in the engine.
        9 | 17 => cursor.skip(8),
        // Invoker: user and host.
        11 => {
            let user = cursor.uint(1)?;
            cursor.skip(user)?;
            let host = cursor.uint(1)?;
            cursor.skip(host)
        }
        12 => {
            let schemas = cursor.uint(1)?;
            if schemas == SCHEMAS_MAX {
                return Some(());
            }
            let name = |_| {
                let length = cursor.rest().iter().position(|byte| *byte == 0)?;
                let name = String::from_utf8_lossy(cursor.take(length)?).into_owned();
                cursor.skip(1)?;
                Some(name)
            };
            *updated = Some((0..schemas).map(name).collect::<Option<_>>()?);
            Some(())
        }
        13 => {
            session.timestamp_us += cursor.uint(3)? as u64;
            Some(())
        }
        // explicit_defaults_for_timestamp, sql_require_primary_key, default_table_encryption.
        16 | 19 | 20 => cursor.skip(1),
        18 => {
            session.utf8mb4_collation = u16::try_from(cursor.uint(2)?).ok();
            Some(())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_session_of_a_statement_is_read_past_what_does_not_matter() {
        let mut status = vec![0, 1, 2, 3, 4];
        status.extend([1, 4, 0, 0x10, 0, 0, 0, 0, 0]);
        status.extend([6, 3, b's', b't', b'd']);
        status.extend([4, 28, 0, 255, 0, 8, 0]);
        status.extend([5, 3, b'U', b'T', b'C', 11, 1, b'u', 1, b'h']);
        status.extend([12, 2, b'a', 0, b'b', 0, 13, 0x40, 0xe2, 1, 16, 1, 17, 9, 9, 9, 9, 9, 9, 9, 9]);
        status.extend([18, 255, 0, 99, 1, 2, 3]);
        let session = read(&status, "shop", 10);
        assert_eq!(
            session,
            DdlSession {
                default_schema: "shop".into(),
                sql_mode: 0x10_0004,
                collations: Some([28, 255, 8]),
                utf8mb4_collation: Some(255),
                timestamp_us: 10_123_456,
                time_zone: Some("UTC".into()),
            }
        );
        assert_eq!(session.reading().client_collation, 28);
        assert_eq!(DdlSession::default().reading().client_collation, 255);
    }

    proptest! {
        #[test]
        fn any_bytes_end(status in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&status, "", 0);
        }
    }
}
