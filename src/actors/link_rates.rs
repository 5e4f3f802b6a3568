//! The rate to each other datacenter, shared by all jobs of this peer that send there (`limits.link_rate`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::transport::rate_limit::RateLimit;

/// One limit per datacenter, made when first asked for. Clones share them.
#[derive(Clone, Debug)]
pub struct LinkRates {
    rate_bytes: u64,
    own: String,
    limits: Arc<Mutex<BTreeMap<String, RateLimit>>>,
}

impl LinkRates {
    /// Limits of `rate_bytes` per second each, 0 for none; the own datacenter `own` has none.
    #[must_use]
    pub fn new(rate_bytes: u64, own: String) -> Self {
        Self {
            rate_bytes,
            own,
            limits: Arc::default(),
        }
    }

    /// The limit on everything this peer sends to `datacenter`; None within its own.
    #[must_use]
    pub fn to(&self, datacenter: &str) -> Option<RateLimit> {
        if self.rate_bytes == 0 || datacenter == self.own {
            return None;
        }
        // A panic while the map was held leaves it whole: it only ever grows by one entry.
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        Some(
            limits
                .entry(datacenter.to_owned())
                .or_insert_with(|| RateLimit::new(self.rate_bytes))
                .clone(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_to_one_datacenter_share_one_limit() {
        let rates = LinkRates::new(1000, "shanghai".into());
        let first = rates.to("beijing").unwrap();
        first.set_rate(7);
        assert_eq!(rates.to("beijing").unwrap().rate(), 7);
        assert_eq!(rates.to("tokyo").unwrap().rate(), 1000);
        assert!(rates.to("shanghai").is_none());
        assert!(LinkRates::new(0, "shanghai".into()).to("beijing").is_none());
    }
}
