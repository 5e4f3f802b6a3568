//! Mutual TLS 1.3 from a cluster key: who may connect and who is believed to be who.
//!
//! Feeds `quic` with the two rustls configurations. Both ends must show a certificate signed by one of the cluster's CAs.
//! The name of a server is not known before the handshake (seeds are addresses), so the verifier checks the chain only
//! and `peer_of` reads the node id from the certificate that was verified.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::core::ids::NodeId;
use crate::transport::error::TransportError;
use crate::transport::key::{ClusterKey, KeyError, node_id_in};

/// Application protocol of the handshake: anything else on the port ends before the first stream.
const PROTOCOL: &[u8] = b"peer/1";

/// Name put into the client's handshake. Nobody looks at it: identity is in the certificate.
pub const SERVER_NAME: &str = "cluster.peer";

/// The two sides of TLS.
pub struct TlsConfigs {
    /// For connections out.
    pub client: rustls::ClientConfig,
    /// For connections in.
    pub server: rustls::ServerConfig,
}

/// Makes both sides with a fresh certificate for this peer.
///
/// # Errors
/// [`KeyError`] when the node id or a CA cannot be used.
pub fn configs(key: &ClusterKey, node_id: &NodeId) -> Result<TlsConfigs, KeyError> {
    let made = |reason: String| KeyError::Make {
        what: "TLS configuration",
        reason,
    };
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in key.authorities() {
        roots.add(authority.clone()).map_err(|error| made(error.to_string()))?;
    }
    let roots = Arc::new(roots);
    let leaf = key.leaf(node_id)?;
    let chain = vec![leaf.certificate];
    let client = client(&provider, &roots, chain.clone(), leaf.private_key.clone_key());
    let server = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| made(error.to_string()))
        .and_then(|verifier| {
            let builder = rustls::ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
            let builder = builder.map_err(|error| made(error.to_string()))?;
            let config = builder
                .with_client_cert_verifier(verifier)
                .with_single_cert(chain, leaf.private_key);
            config.map_err(|error| made(error.to_string()))
        });
    let mut client = client.map_err(|error| made(error.to_string()))?;
    let mut server = server?;
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    // Every handshake shows certificates: a resumed one would outlive a rotation of the key.
    client.resumption = Resumption::disabled();
    server.send_tls13_tickets = 0;
    Ok(TlsConfigs { client, server })
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    private_key: rustls_pki_types::PrivateKeyDer<'static>,
) -> Result<rustls::ClientConfig, rustls::Error> {
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(ClusterVerifier {
        roots: roots.clone(),
        algorithms,
    });
    rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, private_key)
}

/// The node id that the other end proved.
///
/// # Errors
/// [`TransportError::Nameless`] for a certificate that no peer made for itself.
pub fn peer_of(connection: &quinn::Connection) -> Result<NodeId, TransportError> {
    let addr: SocketAddr = connection.remote_address();
    let chain = connection
        .peer_identity()
        .and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let leaf = chain.as_ref().and_then(|chain| chain.first());
    leaf.and_then(node_id_in).ok_or(TransportError::Nameless { addr })
}

/// Accepts a server whose certificate one of the cluster's CAs signed, whatever its name.
#[derive(Debug)]
struct ClusterVerifier {
    roots: Arc<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ClusterVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
