//! Why the process cannot start serving.

use std::io;
use std::net::SocketAddr;

use llmd_common::tls;

use crate::webhook::certificates::CertificateError;

/// What keeps a port from being served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address}")]
    Listen {
        /// As the flag gives it.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The certificate of a port cannot be used; `port` is the flag that is about it.
    #[error("{port}: the certificate cannot be used")]
    Tls {
        /// The flag.
        port: &'static str,
        /// What is wrong with it.
        #[source]
        source: tls::Error,
    },
    /// The installation's authority cannot sign the webhooks' certificate.
    #[error("the certificate of the webhooks cannot be made")]
    Certificate(#[from] CertificateError),
}

impl StartError {
    /// A port that cannot be opened.
    pub fn listen(address: SocketAddr) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Listen { address, source }
    }

    /// A certificate that cannot be used.
    pub fn tls(port: &'static str) -> impl FnOnce(tls::Error) -> Self {
        move |source| Self::Tls { port, source }
    }
}
