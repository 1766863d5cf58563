//! The client side of TLS: which roots are trusted, or that nothing is checked.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::TlsError;
use crate::config::LegTls;

/// The configuration of one leg. A leg without TLS gets one that trusts nobody, and loads nothing for it.
pub(super) fn client_config(tls: LegTls, ca_path: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match (tls, ca_path) {
        (LegTls::Off, _) => builder.with_root_certificates(RootCertStore::empty()),
        (LegTls::Verified, Some(path)) => builder.with_root_certificates(roots(path)?),
        (LegTls::Verified, None) => builder.with_native_roots().map_err(TlsError::SystemRoots)?,
        (LegTls::Unverified, _) => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnyServer(provider)))
        }
    };
    Ok(builder.with_no_client_auth())
}

/// The certificates of a PEM file, or of `ca.crt` in a folder, as Kubernetes mounts them.
fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let file = if path.is_dir() { path.join("ca.crt") } else { path.to_owned() };
    let read = |source| TlsError::Read { path: file.clone(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&file).map_err(read)? {
        roots.add(certificate.map_err(read)?)?;
    }
    if roots.is_empty() { Err(TlsError::Empty { path: file }) } else { Ok(roots) }
}

/// Encrypts without knowing to whom: `--tls-insecure-skip-verify`. Signatures of the handshake are still
/// checked, so the peer at least owns the key of the certificate it shows.
#[derive(Debug)]
struct AcceptAnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
