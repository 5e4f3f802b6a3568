//! Batches items and sends them within credit and rate.
