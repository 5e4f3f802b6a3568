//! What single values of cluster.toml may look like.
//!
//! Pure predicates and parsers for `config::cluster`; they know no place and word no fault.

use std::net::SocketAddr;

/// Most bytes of all tags together. A gossip value over 8 KiB blocks a peer's whole key space (facts/cluster 6.2).
pub(crate) const META_BYTES_MAX: usize = 4 << 10;
/// Port of a seed that names none.
const SEED_PORT: u16 = 7420;
/// What a name must look like; the `expected` of a fault.
pub(crate) const LABEL_FORM: &str = "1 to 64 letters, digits, ., _ and -, beginning with a letter or digit";

/// True for names of peers, datacenters, classes and clusters.
pub(crate) fn is_label(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// True for the key of a tag.
pub(crate) fn is_meta_key(key: &str) -> bool {
    !key.is_empty() && key.len() <= 64 && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

/// Reads IP:PORT; `localhost` is the IPv4 loopback.
pub(crate) fn address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

/// Reads HOST, HOST:PORT, [V6] or [V6]:PORT and returns it with a port.
pub(crate) fn seed(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() != 0).then(|| address.to_string());
    }
    if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse() {
        return Some(SocketAddr::new(ip, SEED_PORT).to_string());
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
        None => (text, SEED_PORT),
    };
    let is_host = !host.is_empty()
        && host.len() <= 253
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    is_host.then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gets_a_port() {
        let cases = [
            ("10.0.0.1", Some("10.0.0.1:7420")),
            ("10.0.0.1:1", Some("10.0.0.1:1")),
            ("sh-1.example", Some("sh-1.example:7420")),
            ("sh-1:99", Some("sh-1:99")),
            ("::1", Some("[::1]:7420")),
            ("[::1]:5", Some("[::1]:5")),
            ("", None),
            ("a b", None),
            ("a:0", None),
            ("a:x", None),
            ("http://a", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seed(text).as_deref(), expected, "{text}");
        }
    }
}
