//! The one module that knows bincode: bounded encode and decode.
