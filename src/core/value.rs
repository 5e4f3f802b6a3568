//! One column value, decoded from its canonical bytes.
