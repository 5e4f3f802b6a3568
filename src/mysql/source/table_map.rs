//! TABLE_MAP events: ids, types and how they fit the shape.
