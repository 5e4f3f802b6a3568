//! Texts of statements and row filters, under every reading of quotes and escapes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::core::ddl_plan::{Standing, steps};
use peer::core::ddl_scope::ReplicatedNames;
use peer::core::ddl_statement;
use peer::core::expr_parse;
use peer::core::shape::TableName;
use peer::core::sql_token::Reading;

fuzz_target!(|data: &[u8]| {
    let Some((&mode, text)) = data.split_first() else { return };
    // ANSI_QUOTES is 4, NO_BACKSLASH_ESCAPES 0x10_0000; utf8mb4 is 45, gbk 28, sjis 13, latin1 8, binary 63.
    let sql_mode = u64::from(mode & 1) * 4 + u64::from(mode & 2) * 0x8_0000;
    let client_collation = [45, 28, 13, 8, 63, 255, 0, 33][usize::from(mode >> 2) % 8];
    let reading = Reading {
        sql_mode,
        client_collation,
    };
    let known = [TableName {
        schema: "s".into(),
        table: "t".into(),
    }];
    if let Some(statement) = ddl_statement::read(text, reading, "s") {
        let standing = |name: &TableName| match name.table.len() % 4 {
            0 => Standing::Outside,
            1 => Standing::Known,
            2 => Standing::Missing,
            _ => Standing::Covered,
        };
        let _ = steps(statement, &known, &standing);
    }
    let _ = ReplicatedNames::new(&known).touched_by(text, "s");
    if let Ok(text) = std::str::from_utf8(text) {
        let _ = expr_parse::parse(text);
    }
});
