//! What a peer tells about itself, and the roster made of it.
