//! The binlog dump: events in, transactions out.
