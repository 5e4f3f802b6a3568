//! cluster.key: what lets peers trust each other. A PEM file with the cluster's CA certificate and its private key.
//!
//! Made by `peer keygen` and the first `start`, copied to every peer. `tls` takes from it the certificates to trust and a
//! leaf for this peer. Several CAs in the file are a rotation in progress: all are trusted, the first signs. Whoever has
//! the file can be any peer: one stolen peer is the cluster. What it does not do: talk to anyone.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tracing::warn;

use crate::core::disposition::Disposition;
use crate::core::fault::Fault;
use crate::core::ids::{ClusterId, NodeId};
use crate::core::stable_hash::hex256;

/// Mode of the key file: only its owner reads it.
const FILE_MODE: u32 = 0o600;

/// Most bytes read as a key file. Each CA takes about 1 KiB; a rotation has two.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What node names end with in certificates.
const NAME_SUFFIX: &str = ".peer";

/// Longest label of a DNS name (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 63;

/// Why a key file cannot be used. Nothing was changed.
#[derive(Debug, Error)]
pub enum KeyError {
    /// There is no such file.
    #[error("key file `{path}` does not exist")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is there but cannot be read or written.
    #[error("key file `{path}` cannot be used: {reason}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Not a PEM file, or one without a CA certificate.
    #[error("key file `{path}` holds no CA certificate: {reason}")]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        reason: String,
    },
    /// Certificates only, or the private key of another certificate.
    #[error("key file `{path}` holds no private key of its first CA certificate")]
    NoPrivateKey {
        /// The file.
        path: PathBuf,
    },
    /// Never overwritten: the old key may be the only copy.
    #[error("key file `{path}` exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A key or certificate could not be made.
    #[error("cannot make a {what}: {reason}")]
    Make {
        /// What was to be made.
        what: &'static str,
        /// Why not.
        reason: String,
    },
}

impl KeyError {
    /// Nobody can go on without a key.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        Disposition::Fatal
    }

    /// What a person reads.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let object = |path: &Path| format!("key_file {}", path.display());
        let copy = "copy cluster.key from a member, or make one with `peer keygen`";
        let pem = "a PEM file made by `peer keygen`";
        match self {
            Self::Missing { path } => Fault::new("PEER1211", object(path), "no such file", pem, copy),
            Self::Unusable { path, reason } => Fault::new(
                "PEER1212",
                object(path),
                reason,
                "a file of the user that runs peer",
                "check owner and mode",
            ),
            Self::NoCertificate { path, reason } => Fault::new("PEER1213", object(path), reason, pem, copy),
            Self::NoPrivateKey { path } => {
                let found = "no private key that fits the first certificate";
                Fault::new(
                    "PEER1214",
                    object(path),
                    found,
                    "the CA certificate and its private key",
                    copy,
                )
            }
            Self::Exists { path } => {
                let fix = "use it, or move it away first; peers with the old key are then refused";
                Fault::new("PEER1215", object(path), "a file", "no file", fix)
            }
            Self::Make { what, reason } => Fault::new("PEER1216", *what, reason, "a valid one", "see the reason"),
        }
    }
}

/// The cluster's key. Clones share one copy; it is never printed.
#[derive(Clone)]
pub struct ClusterKey {
    inner: Arc<Inner>,
}

struct Inner {
    authorities: Vec<CertificateDer<'static>>,
    signer: KeyPair,
    pem: String,
}

/// A peer's own certificate and its private key, made at each start and kept in memory.
#[derive(Debug)]
pub struct Leaf {
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key.
    pub private_key: PrivateKeyDer<'static>,
}

impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterKey")
            .field("cluster_id", &self.cluster_id().0)
            .field("private_key", &"***")
            .finish()
    }
}

impl ClusterKey {
    /// Makes the key of a new cluster: an ECDSA P-256 CA that does not expire. Trust ends by rotation; a date would end
    /// it on a peer with a wrong clock.
    ///
    /// # Errors
    /// [`KeyError::Make`] when the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let made = |error: rcgen::Error| KeyError::Make {
            what: "cluster key",
            reason: error.to_string(),
        };
        let signer = KeyPair::generate().map_err(made)?;
        let mut params = CertificateParams::default();
        // Names differ between clusters, so that a foreign certificate is an unknown issuer, not a bad signature.
        let name = format!("peer cluster {}", &hex256(signer.der_bytes())[..16]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&signer).map_err(made)?;
        let pem = format!("{}{}", certificate.pem(), signer.serialize_pem());
        Ok(Self {
            inner: Arc::new(Inner {
                authorities: vec![certificate.der().clone()],
                signer,
                pem,
            }),
        })
    }

    /// Reads the file, and warns when others than its owner can.
    ///
    /// # Errors
    /// [`KeyError`] names the file and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let unusable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => KeyError::Missing { path: path.to_owned() },
            _ => KeyError::Unusable {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        };
        let facts = fs::metadata(path).map_err(unusable)?;
        if facts.len() > FILE_BYTES_MAX {
            let reason = format!("{} bytes, expected at most {FILE_BYTES_MAX}", facts.len());
            return Err(KeyError::NoCertificate {
                path: path.to_owned(),
                reason,
            });
        }
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let error = format!("`{}` has mode {mode:o}, expected 600", path.display());
            warn!(error, "key file can be read by other users");
        }
        let bytes = fs::read(path).map_err(unusable)?;
        Self::parse(&bytes, path)
    }

    /// Takes the text of a key file; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`ClusterKey::load`].
    pub fn parse(pem: &[u8], path: &Path) -> Result<Self, KeyError> {
        let no_certificate = |reason: String| KeyError::NoCertificate {
            path: path.to_owned(),
            reason,
        };
        let authorities: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| no_certificate(format!("not a PEM file: {error}")))?;
        let first = authorities
            .first()
            .ok_or_else(|| no_certificate("no certificate in PEM form".into()))?;
        let mut first_public_key = Vec::new();
        for authority in &authorities {
            let public_key = authority_public_key(authority).map_err(no_certificate)?;
            if authority == first {
                first_public_key = public_key;
            }
        }
        let signer = private_keys(pem)
            .find(|key| key.der_bytes() == first_public_key)
            .ok_or_else(|| KeyError::NoPrivateKey { path: path.to_owned() })?;
        let pem = String::from_utf8_lossy(pem).into_owned();
        Ok(Self {
            inner: Arc::new(Inner {
                authorities,
                signer,
                pem,
            }),
        })
    }

    /// Writes a new file that only its owner can read. Never overwrites.
    ///
    /// # Errors
    /// [`KeyError::Exists`] or [`KeyError::Unusable`].
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let unusable = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
            _ => KeyError::Unusable {
                path: path.to_owned(),
                reason: error.to_string(),
            },
        };
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(path)
            .map_err(unusable)?;
        file.write_all(self.inner.pem.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(unusable)
    }

    /// SHA-256 of the first CA certificate.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        ClusterId(hex256(&self.inner.authorities[0]))
    }

    /// The certificates to trust.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.inner.authorities
    }

    /// 32 secret bytes that all peers with this key derive alike, different for each purpose.
    #[must_use]
    pub fn derive(&self, purpose: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.inner.signer.serialized_der());
        for part in purpose {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Makes this peer's certificate, for both ends of a connection, with the node id as its name.
    ///
    /// # Errors
    /// [`KeyError::Make`] for a node id that is no DNS label, or without random numbers.
    pub fn leaf(&self, node_id: &NodeId) -> Result<Leaf, KeyError> {
        let made = |error: rcgen::Error| KeyError::Make {
            what: "peer certificate",
            reason: error.to_string(),
        };
        if !is_label(&node_id.0) {
            let reason = format!("node id is `{node_id}`, expected 1 to {NAME_BYTES_MAX} of a-z, 0-9 and -");
            return Err(KeyError::Make {
                what: "peer certificate",
                reason,
            });
        }
        let authority = &self.inner.authorities[0];
        let issuer = Issuer::from_ca_cert_der(authority, &self.inner.signer).map_err(made)?;
        let mut params = CertificateParams::new(vec![format!("{node_id}{NAME_SUFFIX}")]).map_err(made)?;
        params.distinguished_name.push(DnType::CommonName, node_id.0.as_str());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(made)?;
        let certificate = params.signed_by(&key, &issuer).map_err(made)?;
        let private_key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Leaf {
            certificate: certificate.der().clone(),
            private_key,
        })
    }
}

/// The node id in a peer's certificate; `None` when it is not one of ours.
#[must_use]
pub fn node_id_in(certificate: &CertificateDer<'_>) -> Option<NodeId> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => {
            let id = name.strip_suffix(NAME_SUFFIX)?;
            is_label(id).then(|| NodeId(id.to_owned()))
        }
        _ => None,
    })
}

fn is_label(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&id.len()) && id.bytes().all(allowed) && !id.starts_with('-') && !id.ends_with('-')
}

/// The public key bits of a CA certificate, or what it is instead.
fn authority_public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    if !parsed.is_ca() {
        return Err(format!("a certificate that is no CA: {}", parsed.subject()));
    }
    Ok(parsed.public_key().subject_public_key.data.to_vec())
}

/// The private keys in the file; what is none is passed over, and missed where it matters.
fn private_keys(pem: &[u8]) -> impl Iterator<Item = KeyPair> + '_ {
    PrivateKeyDer::pem_slice_iter(pem)
        .filter_map(Result::ok)
        .filter_map(|key| KeyPair::try_from(&key).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pem: &str) -> Result<ClusterKey, KeyError> {
        ClusterKey::parse(pem.as_bytes(), Path::new("cluster.key"))
    }

    fn pem_of(key: &ClusterKey) -> &str {
        &key.inner.pem
    }

    #[test]
    fn a_saved_key_is_the_same_key_and_its_owners_alone() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("cluster.key");
        let key = ClusterKey::generate().expect("random");
        key.save(&path).expect("saved");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let loaded = ClusterKey::load(&path).expect("loaded");
        assert_eq!(loaded.cluster_id(), key.cluster_id());
        assert_eq!(loaded.derive(&[b"x"]), key.derive(&[b"x"]));
        assert_eq!(key.cluster_id().0.len(), 64);
        assert!(matches!(key.save(&path), Err(KeyError::Exists { .. })));
    }

    #[test]
    fn each_fault_of_a_key_file_has_its_code() {
        let dir = tempfile::tempdir().expect("temp dir");
        let key = ClusterKey::generate().expect("random");
        let certificate = pem_of(&key).split("-----BEGIN PRIVATE").next().expect("first part");
        let other = ClusterKey::generate().expect("random");
        let foreign = format!("{certificate}{}", other.inner.signer.serialize_pem());
        let codes = [
            ClusterKey::load(&dir.path().join("none")),
            ClusterKey::load(dir.path()),
            parse("hello"),
            parse("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
            parse(certificate),
            parse(&foreign),
        ]
        .map(|loaded| loaded.expect_err("refused").fault().code);
        assert_eq!(
            codes,
            ["PEER1211", "PEER1212", "PEER1213", "PEER1213", "PEER1214", "PEER1214"]
        );
    }

    #[test]
    fn a_leaf_is_no_authority() {
        let key = ClusterKey::generate().expect("random");
        let leaf = key.leaf(&NodeId("n1".into())).expect("valid id");
        assert!(authority_public_key(&leaf.certificate).is_err());
    }

    #[test]
    fn with_two_authorities_both_are_trusted_and_the_first_signs() {
        let (old, new) = (
            ClusterKey::generate().expect("random"),
            ClusterKey::generate().expect("random"),
        );
        let both = parse(&format!("{}{}", pem_of(&new), pem_of(&old))).expect("two");
        assert_eq!(both.authorities().len(), 2);
        assert_eq!(both.cluster_id(), new.cluster_id());
        assert_eq!(both.derive(&[]), new.derive(&[]));
    }

    #[test]
    fn the_certificate_names_the_peer() {
        let key = ClusterKey::generate().expect("random");
        let id = NodeId("0a1b-2c".into());
        assert_eq!(node_id_in(&key.leaf(&id).expect("valid id").certificate), Some(id));
        assert_eq!(node_id_in(&key.authorities()[0]), None);
    }

    #[test]
    fn an_id_that_is_no_label_gets_no_certificate() {
        let key = ClusterKey::generate().expect("random");
        for id in ["", "a.b", "A", "-a", "a b", &"x".repeat(64)] {
            assert!(key.leaf(&NodeId(id.into())).is_err(), "`{id}`");
        }
    }

    #[test]
    fn the_private_key_is_not_printed() {
        let key = ClusterKey::generate().expect("random");
        assert!(format!("{key:?}").contains("***"));
    }
}
