//! Ranks the peers for a task, and says why the others are out.
