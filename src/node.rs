//! Wires a peer together: clock and randomness enter here.
