//! Server certificates: self-signed, or from files that are read again when they change. The client side is in
//! [`client`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::shutdown::Shutdown;

pub mod client;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the pair is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is there but holds no usable PEM object.
    #[error("no certificate or key in {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// A text holds no usable PEM object.
    #[error("no certificate or key in the text")]
    Text(#[from] rustls::pki_types::pem::Error),
    /// The system knows no certificate authority.
    #[error("the system has no certificate authorities: set SSL_CERT_FILE or SSL_CERT_DIR")]
    NoAuthority,
    /// Key and certificate do not belong together or are of an unsupported kind.
    #[error("certificate and key cannot be used")]
    Rustls(#[from] rustls::Error),
    /// The self-signed certificate could not be made.
    #[error("cannot make a self-signed certificate")]
    SelfSigned(#[from] rcgen::Error),
}

/// A certificate and its key on disk.
#[derive(Debug, Clone)]
pub struct CertFiles {
    /// PEM chain, leaf first.
    pub cert: PathBuf,
    /// PEM private key.
    pub key: PathBuf,
}

impl CertFiles {
    /// `tls.crt` and `tls.key` of a directory, as Kubernetes mounts a TLS secret.
    #[must_use]
    pub fn in_dir(dir: &Path) -> Self {
        Self { cert: dir.join("tls.crt"), key: dir.join("tls.key") }
    }

    fn load(&self) -> Result<CertifiedKey, Error> {
        let read =
            |path: &Path| fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source });
        let pem = |path: &Path, source| Error::Pem { path: path.to_owned(), source };
        let cert_pem = read(&self.cert)?;
        let chain = CertificateDer::pem_slice_iter(&cert_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| pem(&self.cert, source))?;
        let key =
            PrivateKeyDer::from_pem_slice(&read(&self.key)?).map_err(|source| pem(&self.key, source))?;
        Ok(CertifiedKey::from_der(chain, key, &ring::default_provider())?)
    }

    fn modified(&self) -> Option<(SystemTime, SystemTime)> {
        let time = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
        Some((time(&self.cert)?, time(&self.key)?))
    }
}

/// A server configuration with a fresh self-signed certificate for `names`.
///
/// # Errors
/// [`Error::SelfSigned`] when a name is not a DNS name or an address.
pub fn self_signed(names: &[&str], alpn: &[&[u8]]) -> Result<ServerConfig, Error> {
    let names: Vec<String> = names.iter().map(|&it| it.to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let certified = CertifiedKey::from_der(vec![made.cert.der().clone()], key, &ring::default_provider())?;
    server_config(Arc::new(Current(ArcSwap::from_pointee(certified))), alpn)
}

/// A server configuration from `files`, which are read again within `interval` of a change until `shutdown`.
///
/// # Errors
/// When the files cannot be used now; later failures are logged and the last good pair stays.
pub fn from_files(
    files: CertFiles,
    alpn: &[&[u8]],
    interval: Duration,
    shutdown: &Shutdown,
) -> Result<ServerConfig, Error> {
    let current = Arc::new(Current(ArcSwap::from_pointee(files.load()?)));
    let config = server_config(Arc::clone(&current), alpn)?;
    let draining = shutdown.draining().clone();
    shutdown.spawn(async move {
        let mut seen = files.modified();
        loop {
            tokio::select! {
                () = draining.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let now = files.modified();
            if now == seen {
                continue;
            }
            match files.load() {
                Ok(certified) => {
                    current.0.store(Arc::new(certified));
                    seen = now;
                    tracing::info!(cert = %files.cert.display(), "certificate reloaded");
                }
                Err(error) => {
                    tracing::warn!(error = %crate::report::Report(&error), "keeping the old certificate");
                }
            }
        }
    });
    Ok(config)
}

/// A certificate that can be replaced while it is served.
#[derive(Debug, Clone)]
pub struct Replaceable(Arc<Current>);

impl Replaceable {
    /// Starts with a PEM chain, leaf first, and its PEM key.
    ///
    /// # Errors
    /// When the texts hold no pair that can be used.
    pub fn new(cert: &[u8], key: &[u8]) -> Result<Self, Error> {
        Ok(Self(Arc::new(Current(ArcSwap::from_pointee(certified(cert, key)?)))))
    }

    /// Serves this pair from now on; connections that are open keep theirs.
    ///
    /// # Errors
    /// When the texts hold no pair that can be used; the old one stays.
    pub fn replace(&self, cert: &[u8], key: &[u8]) -> Result<(), Error> {
        self.0.0.store(Arc::new(certified(cert, key)?));
        Ok(())
    }

    /// A server configuration that shows the current pair.
    ///
    /// # Errors
    /// When TLS itself cannot be set up.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig, Error> {
        server_config(Arc::clone(&self.0), alpn)
    }
}

fn certified(cert: &[u8], key: &[u8]) -> Result<CertifiedKey, Error> {
    let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>()?;
    Ok(CertifiedKey::from_der(chain, PrivateKeyDer::from_pem_slice(key)?, &ring::default_provider())?)
}

fn server_config(current: Arc<Current>, alpn: &[&[u8]]) -> Result<ServerConfig, Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
    Ok(config)
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_named() {
        let files = CertFiles::in_dir(Path::new("/nowhere"));
        let error = files.load().unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/tls.crt");
    }

    #[test]
    fn a_replacement_that_cannot_be_used_leaves_the_old_pair() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let served = Replaceable::new(cert.as_bytes(), key.as_bytes()).unwrap();
        let before = served.0.0.load_full();
        assert!(matches!(served.replace(cert.as_bytes(), b"nonsense"), Err(Error::Text(_))));
        assert!(matches!(served.replace(b"", key.as_bytes()), Err(Error::Rustls(_))));
        assert!(Arc::ptr_eq(&before, &served.0.0.load_full()));
        served.replace(cert.as_bytes(), key.as_bytes()).unwrap();
        assert!(!Arc::ptr_eq(&before, &served.0.0.load_full()));
    }

    #[test]
    fn makes_a_certificate_for_names_and_addresses() {
        let config = self_signed(&["localhost", "127.0.0.1"], &[b"h2"]).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec()]);
    }
}
