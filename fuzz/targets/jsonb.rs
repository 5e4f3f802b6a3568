//! Binary JSON documents: any bytes are text or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::core::shape::ColumnKind;
use peer::core::value::Value;

fuzz_target!(|data: &[u8]| {
    let _ = Value::decode(&ColumnKind::Json, data);
});
