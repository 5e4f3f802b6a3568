//! The job table as a CRDT: records and their merge.
