//! Raw binlog events: header, checksum, body by type.
