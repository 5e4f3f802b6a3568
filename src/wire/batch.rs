//! Items of the change sequence as bytes.
