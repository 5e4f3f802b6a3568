//! Values of the client protocol to canonical column bytes.
