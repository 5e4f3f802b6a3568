//! One sink task's lifecycle.
