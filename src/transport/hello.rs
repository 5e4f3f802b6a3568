//! Who is at the other end, and whether it may be.
