//! Talks to a peer over HTTP.
