//! Node id and boot counter.
