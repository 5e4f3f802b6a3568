//! What a flow tells about itself.
