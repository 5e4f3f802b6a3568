//! One plain connection: settings, time-outs, typed queries.
