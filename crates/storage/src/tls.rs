//! Which servers are trusted: the system's certificates and the mounted ones, or anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use llmd_common::tls::client::AnyServer;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::Trust;
use crate::error::Error;

/// The client's side of TLS.
///
/// # Errors
/// When a certificate file cannot be read.
pub fn client_config(trust: &Trust) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|it| Error::Tls(it.into()))?;
    let builder = if trust.anybody {
        builder.dangerous().with_custom_certificate_verifier(AnyServer::verifier(provider))
    } else {
        builder.with_root_certificates(roots(&trust.ca_files)?)
    };
    Ok(builder.with_no_client_auth())
}

/// The system's certificates that can be read, and every one of `files`.
fn roots(files: &[PathBuf]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for file in files {
        add(&mut roots, file).map_err(|source| Error::CaBundle { path: file.clone(), source })?;
    }
    Ok(roots)
}

fn add(roots: &mut RootCertStore, file: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let text = std::fs::read(file)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>()?;
    if certificates.is_empty() {
        return Err("it holds no certificate".into());
    }
    for certificate in certificates {
        roots.add(certificate)?;
    }
    Ok(())
}
