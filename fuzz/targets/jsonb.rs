//! Binary JSON documents and lists of changes to them: any bytes are read or an error, and what is read writes as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use peer::core::json_diff;
use peer::core::json_text;
use peer::core::json_tree::{JsonTree, normal};
use peer::core::shape::ColumnKind;
use peer::core::value::Value;

fuzz_target!(|data: &[u8]| {
    let _ = Value::decode(&ColumnKind::Json, data);
    let _ = json_diff::read(data);
    let Ok(tree) = JsonTree::decode(data) else { return };
    let encoded = tree.encode();
    let again = JsonTree::decode(&encoded).expect("a document that was written can be read");
    assert_eq!(again.encode(), encoded, "a document writes as itself");
    if let Ok(text) = tree.to_text() {
        // Letters say what text does not: a copied row is read with both. Damaged values may not be of their type.
        let _ = json_text::parse(text.as_bytes(), json_text::letters(&tree).as_bytes());
    }
    if let Ok(one) = normal(data) {
        assert_eq!(normal(&one), Ok(one.clone()), "the normal form is its own");
    }
});
