//! The constraint language: operators and truth.
