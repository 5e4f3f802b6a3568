//! Column values as SQL text.
