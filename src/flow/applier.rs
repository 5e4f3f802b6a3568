//! Groups items, applies and commits them.
