//! Frames: length, codec, version, checksum, body.
