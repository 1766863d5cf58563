//! The client side of TLS: which roots are trusted, or that nothing is checked.

use std::path::Path;
use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use llmd_common::tls::client::AnyServer;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

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
            builder.dangerous().with_custom_certificate_verifier(AnyServer::verifier(provider))
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
