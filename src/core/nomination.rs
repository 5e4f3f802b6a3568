//! Who tries to own a task, and when: a pure step function.
