//! What this machine is: the fingerprinted attributes.
