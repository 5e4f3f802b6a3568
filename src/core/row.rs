//! Reads a row image column by column: offsets from the shape, bounds checked, nothing copied.
