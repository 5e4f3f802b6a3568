//! Net effect of consecutive transactions per key, and when a group is closed.
