//! Collects every fault of a file before refusing it.
