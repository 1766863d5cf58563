//! `--tls-cipher-suites`: what the webhooks and the metrics port encrypt with, by Go's names.
//!
//! As in Go the list is about TLS 1.2 alone: the suites of TLS 1.3 are always there, and a list that names only those
//! leaves nothing of TLS 1.2.

use std::str::FromStr;
use std::sync::Arc;

use llmd_common::tls;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{ServerConfig, SupportedCipherSuite};

/// The suites to offer; all that there are by default.
#[derive(Debug, Clone, PartialEq)]
pub struct CipherSuites(Vec<SupportedCipherSuite>);

impl Default for CipherSuites {
    fn default() -> Self {
        Self(ring::ALL_CIPHER_SUITES.to_vec())
    }
}

/// A suite that is not offered here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not supported: {name:?}; use {}", known().join(", "))]
pub struct UnknownSuite {
    name: String,
}

impl FromStr for CipherSuites {
    type Err = UnknownSuite;

    /// Reads names with commas between them; nothing means the default.
    fn from_str(text: &str) -> Result<Self, UnknownSuite> {
        let names: Vec<_> = text.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        if names.is_empty() {
            return Ok(Self::default());
        }
        for name in &names {
            if !ring::ALL_CIPHER_SUITES.iter().any(|it| is_called(*it, name)) {
                return Err(UnknownSuite { name: (*name).to_owned() });
            }
        }
        let is_wanted =
            |it: &SupportedCipherSuite| it.tls13().is_some() || names.iter().any(|name| is_called(*it, name));
        Ok(Self(ring::ALL_CIPHER_SUITES.iter().copied().filter(is_wanted).collect()))
    }
}

impl CipherSuites {
    /// The same server with these suites alone.
    ///
    /// # Errors
    /// When TLS itself cannot be set up.
    pub fn restrict(&self, config: ServerConfig) -> Result<ServerConfig, tls::Error> {
        if *self == Self::default() {
            return Ok(config);
        }
        let provider = CryptoProvider { cipher_suites: self.0.clone(), ..ring::default_provider() };
        let mut restricted = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&config.cert_resolver));
        restricted.alpn_protocols = config.alpn_protocols;
        Ok(restricted)
    }
}

/// Go's name of a suite: that of the standard.
fn name(suite: SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replace("TLS13_", "TLS_")
}

/// Whether Go calls the suite so; it has an older, shorter name for those with ChaCha20.
fn is_called(suite: SupportedCipherSuite, given: &str) -> bool {
    let name = name(suite);
    name == given
        || (suite.tls13().is_none()
            && name
                .strip_suffix("_SHA256")
                .is_some_and(|it| it == given && it.ends_with("CHACHA20_POLY1305")))
}

fn known() -> Vec<String> {
    ring::ALL_CIPHER_SUITES.iter().map(|it| name(*it)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        text.parse::<CipherSuites>().unwrap().0.into_iter().map(name).collect()
    }

    #[test]
    fn every_suite_has_gos_name_and_is_found_by_it() {
        assert_eq!(parsed(""), known());
        assert_eq!(parsed(&known().join(",")), known());
        assert_eq!(known().len(), 9);
        for it in known() {
            assert!(
                it.starts_with("TLS_AES") || it.starts_with("TLS_CHACHA20") || it.starts_with("TLS_ECDHE"),
                "{it}"
            );
        }
    }

    #[test]
    fn a_list_is_about_tls_1_2_alone() {
        let with = |name: &str| {
            let of_1_3 = ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"];
            of_1_3
                .into_iter()
                .chain((!name.is_empty()).then_some(name))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let rsa = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        assert_eq!(parsed(&format!(" {rsa} , TLS_AES_128_GCM_SHA256")), with(rsa));
        assert_eq!(parsed("TLS_AES_128_GCM_SHA256"), with(""));
        let chacha = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256";
        assert_eq!(parsed("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"), with(chacha));
    }

    #[test]
    fn a_suite_that_is_not_there_is_named() {
        for name in
            ["TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_ECDHE_RSA_WITH_AES_128_GCM", "TLS_CHACHA20_POLY1305", "x"]
        {
            let error = name.parse::<CipherSuites>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("not supported: {name:?}; use TLS_AES")), "{error}");
        }
    }

    #[test]
    fn a_server_keeps_its_certificate_and_protocols() {
        let server = tls::self_signed(&["localhost"], &[b"h2"]).unwrap();
        let suites: CipherSuites = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256".parse().unwrap();
        let resolver = Arc::clone(&server.cert_resolver);
        let restricted = suites.restrict(server).unwrap();
        assert_eq!(restricted.crypto_provider().cipher_suites, suites.0);
        assert_eq!(restricted.crypto_provider().cipher_suites.len(), 4);
        assert_eq!(restricted.alpn_protocols, [b"h2".to_vec()]);
        assert!(Arc::ptr_eq(&restricted.cert_resolver, &resolver));
    }
}
