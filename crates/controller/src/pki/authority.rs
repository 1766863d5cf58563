//! The authority and its rotation.
//!
//! A new authority is published in the bundle [`OVERLAP`] before it signs anything, so whoever reads the bundle
//! in that time trusts both; the old one stays in the bundle until it expires. [`Authority::advance`] is the whole
//! state machine and idempotent: processes that race take the same step or find it taken.

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::certificate::{Certificate, KeyedCertificate, bundle};
use super::{LEAF_LIFE, PkiError, SubjectNames, new_key, parameters};

/// How long an authority is valid.
const LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// How long a successor is published before it signs.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);

/// The keys that sign and the certificates that clients trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Signs everything that is made now.
    signing: KeyedCertificate,
    /// Published, and signs once [`OVERLAP`] has passed.
    successor: Option<KeyedCertificate>,
    /// PEM of every authority that something valid may be signed by, the signing one first.
    bundle: String,
}

impl Authority {
    /// The first authority of an installation.
    ///
    /// # Errors
    /// When the system has no randomness to make a key of.
    pub fn create(now: Timestamp) -> Result<Self, PkiError> {
        let signing = self_signed(now)?;
        Ok(Self { bundle: signing.certificate.clone(), signing, successor: None })
    }

    /// An authority from its stored parts.
    ///
    /// # Errors
    /// When the signing certificate or its key cannot be used. A damaged successor is only left out.
    pub fn restore(
        signing: KeyedCertificate,
        successor: Option<KeyedCertificate>,
        trusted: &str,
    ) -> Result<Self, PkiError> {
        signing.read()?;
        let successor = successor.filter(|it| it.read().is_ok());
        let mut authority = Self { signing, successor, bundle: String::new() };
        authority.bundle = authority.bundle_with(trusted);
        Ok(authority)
    }

    /// The authority as it should be at `now`; `None` when it is right already.
    ///
    /// # Errors
    /// When a new key cannot be made.
    pub fn advance(&self, now: Timestamp) -> Result<Option<Self>, PkiError> {
        let signing = self.signing.read()?;
        if signing.not_after <= now {
            return Self::create(now).map(Some);
        }
        let mut next = self.clone();
        if let Some(successor) = &self.successor {
            if successor.read()?.not_before.saturating_add(OVERLAP).is_ok_and(|it| it <= now) {
                next.signing = successor.clone();
                next.successor = None;
            }
        } else if signing.renewal() <= now {
            next.successor = Some(self_signed(now)?);
        }
        next.bundle = next.bundle_with(&unexpired(&self.bundle, now));
        Ok((next != *self).then_some(next))
    }

    /// Signs a server certificate with a new key.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(
        &self,
        common_name: &str,
        names: &SubjectNames,
        now: Timestamp,
    ) -> Result<KeyedCertificate, PkiError> {
        let issuer =
            Issuer::from_ca_cert_pem(&self.signing.certificate, KeyPair::from_pem(&self.signing.key)?)?;
        let mut parameters = parameters(common_name, names.to_strings(), LEAF_LIFE, now)?;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.use_authority_key_identifier_extension = true;
        let key = new_key()?;
        let certificate = parameters.signed_by(&key, &issuer)?;
        Ok(KeyedCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// PEM of what clients trust.
    #[must_use]
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// The certificate and key that sign.
    #[must_use]
    pub const fn signing(&self) -> &KeyedCertificate {
        &self.signing
    }

    /// The authority that will sign next.
    #[must_use]
    pub const fn successor(&self) -> Option<&KeyedCertificate> {
        self.successor.as_ref()
    }

    /// Whether one of the trusted authorities signed the certificate.
    #[must_use]
    pub fn signed(&self, certificate: &Certificate) -> bool {
        bundle(&self.bundle).iter().any(|(_, it)| certificate.is_signed_by(it))
    }

    /// The own certificates, then whatever else was trusted, each once.
    fn bundle_with(&self, trusted: &str) -> String {
        let own = [Some(&self.signing), self.successor.as_ref()];
        let mut parts: Vec<String> = Vec::new();
        let own = own.into_iter().flatten().flat_map(|it| bundle(&it.certificate));
        for (pem, _) in own.chain(bundle(trusted)) {
            let pem = pem.replace('\r', "");
            if !parts.contains(&pem) {
                parts.push(pem);
            }
        }
        parts.concat()
    }
}

fn unexpired(pem: &str, now: Timestamp) -> String {
    bundle(pem).into_iter().filter(|(_, it)| it.not_after > now).map(|(pem, _)| pem).collect()
}

fn self_signed(now: Timestamp) -> Result<KeyedCertificate, PkiError> {
    // The time tells two authorities in one bundle apart.
    let mut parameters = parameters(&format!("llmd authority {}", now.as_second()), Vec::new(), LIFE, now)?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = new_key()?;
    let certificate = parameters.self_signed(&key)?;
    Ok(KeyedCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
}
