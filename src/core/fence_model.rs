//! The fence row as a pure state machine, for the simulator.
