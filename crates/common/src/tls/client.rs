//! The client side of TLS: who is trusted, and who we are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{CertFiles, Error};

/// Which servers are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Every server that owns the key of the certificate it shows: this encrypts without knowing to whom.
    Anybody,
    /// Those with a certificate of an authority that the system knows. `SSL_CERT_FILE` and `SSL_CERT_DIR` say where
    /// these authorities are.
    System,
    /// Those with a certificate of an authority in a PEM file, or in `ca.crt` of a folder as Kubernetes mounts it.
    Authority(PathBuf),
}

/// A client configuration; `identity` is shown to servers that ask for a certificate.
///
/// # Errors
/// When a file cannot be used, or no authority is found.
pub fn config(trust: &Trust, identity: Option<&CertFiles>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match trust {
        Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(AnyServer::verifier(provider)),
        Trust::System => builder.with_root_certificates(system_roots()?),
        Trust::Authority(path) => builder.with_root_certificates(roots(path)?),
    };
    match identity {
        None => Ok(builder.with_no_client_auth()),
        Some(files) => {
            let certified = Arc::new(files.load()?);
            Ok(builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified))))
        }
    }
}

/// Certificates that cannot be read are left out, as long as there are others.
fn system_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() { Err(Error::NoAuthority) } else { Ok(roots) }
}

fn roots(path: &Path) -> Result<RootCertStore, Error> {
    let file = if path.is_dir() { path.join("ca.crt") } else { path.to_owned() };
    let failed = |source| Error::Pem { path: file.clone(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&file).map_err(failed)? {
        roots.add(certificate.map_err(failed)?)?;
    }
    if roots.is_empty() {
        return Err(Error::Pem { path: file, source: rustls::pki_types::pem::Error::NoItemsFound });
    }
    Ok(roots)
}

/// Accepts every server's certificate: encrypts without knowing to whom. Signatures of the handshake are still checked,
/// so the server at least owns the key of the certificate it shows.
#[derive(Debug)]
pub struct AnyServer(Arc<CryptoProvider>);

impl AnyServer {
    /// The verifier of [`Trust::Anybody`], for configurations that are made elsewhere.
    #[must_use]
    pub fn verifier(provider: Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
        Arc::new(Self(provider))
    }
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_file_or_a_mounted_folder() {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let file = folder.path().join("ca.crt");
        std::fs::write(&file, made.cert.pem()).unwrap();
        for path in [folder.path(), &file] {
            config(&Trust::Authority(path.to_owned()), None).unwrap();
        }
        std::fs::write(&file, "").unwrap();
        let error = config(&Trust::Authority(file.clone()), None).unwrap_err();
        assert_eq!(error.to_string(), format!("no certificate or key in {}", file.display()));
    }

    #[test]
    fn an_identity_that_is_not_there_is_named() {
        let error = config(&Trust::Anybody, Some(&CertFiles::in_dir(Path::new("/nowhere")))).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/tls.crt");
    }
}
