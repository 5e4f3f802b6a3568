//! information_schema and SHOW CREATE TABLE to shapes.
