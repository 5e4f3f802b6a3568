//! Reads progress, copy rows and shapes; writes beats.
