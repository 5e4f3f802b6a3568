//! Creates the target's tables from the source's definition.
