//! Net effects as multi-row SQL.
