//! The certificate of the service's pods: the live one, or a new one when it no longer fits.

/// PEM files of the service's certificate Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFacts {}
