//! One source task's lifecycle.
