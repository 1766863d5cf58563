//! The installation's certificates: one authority, and what it signs.
//!
//! [`Authority`] lives in a Secret of the system namespace and rotates without a moment at which a client trusts
//! only the old one and a server shows only the new one. It signs the certificate of every service and of the
//! admission webhook. Keys are ECDSA P-256, leaves live a year and are renewed after two thirds of it.
//!
//! Making and judging certificates takes the time as an argument and does no I/O; [`store`] reads and writes the
//! Secret.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

pub mod authority;
pub mod certificate;
pub mod store;

pub use authority::Authority;
pub use certificate::{Certificate, KeyedCertificate};

/// How long a leaf is valid.
pub const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// A certificate is valid from a little before it is made, for clients whose clocks are behind.
const BACKDATED: SignedDuration = SignedDuration::from_mins(5);

/// Why a certificate cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Signing failed, or a name cannot stand in a certificate.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The text is no PEM certificate.
    #[error("not a certificate: {message}")]
    Read { message: String },
    /// The private key belongs to another certificate.
    #[error("the key does not belong to the certificate")]
    KeyMismatch,
    /// The Secret cannot be read or written.
    #[error("Secret {namespace}/{name} cannot be read or written")]
    Secret {
        namespace: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
}

/// What a server certificate vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SubjectNames {
    pub dns: BTreeSet<String>,
    pub addresses: BTreeSet<IpAddr>,
}

impl SubjectNames {
    /// Whether every one of `needed` is among these.
    #[must_use]
    pub fn cover(&self, needed: &Self) -> bool {
        self.dns.is_superset(&needed.dns) && self.addresses.is_superset(&needed.addresses)
    }

    /// Adds a host: an address or a DNS name.
    pub fn insert(&mut self, host: &str) {
        match host.parse() {
            Ok(address) => self.addresses.insert(address),
            Err(_) => self.dns.insert(host.to_owned()),
        };
    }

    fn to_strings(&self) -> Vec<String> {
        self.dns.iter().cloned().chain(self.addresses.iter().map(IpAddr::to_string)).collect()
    }
}

/// The time after which a certificate of this life is renewed: two thirds of it.
fn renewal(not_before: Timestamp, not_after: Timestamp) -> Timestamp {
    let life = not_after.duration_since(not_before);
    not_before.saturating_add(life / 3 * 2).unwrap_or(not_after)
}

/// Parameters of a certificate named `common_name` that is valid from now on for `life`.
fn parameters(
    common_name: &str,
    names: Vec<String>,
    life: SignedDuration,
    now: Timestamp,
) -> Result<CertificateParams, PkiError> {
    let mut parameters = CertificateParams::new(names)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "llmd");
    subject.push(DnType::CommonName, common_name);
    parameters.distinguished_name = subject;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |it: SignedDuration| epoch + it.unsigned_abs();
    let now = SignedDuration::from_secs(now.as_second());
    parameters.not_before = at(now - BACKDATED);
    parameters.not_after = at(now + life);
    Ok(parameters)
}

fn new_key() -> Result<KeyPair, PkiError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

#[cfg(test)]
mod tests;
