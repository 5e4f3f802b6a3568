//! A refusal: what was found, what was expected, what to do.
