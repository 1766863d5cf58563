//! One certificate as text, and what it says.

use std::net::IpAddr;

use jiff::Timestamp;
use rcgen::KeyPair;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use super::{PkiError, SubjectNames, renewal};

/// A certificate with its private key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyedCertificate {
    pub certificate: String,
    pub key: String,
}

impl std::fmt::Debug for KeyedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyedCertificate").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl KeyedCertificate {
    /// What the certificate says, after checking that the key is its own.
    ///
    /// # Errors
    /// When either is no valid PEM, or they do not belong together.
    pub fn read(&self) -> Result<Certificate, PkiError> {
        let certificate = Certificate::parse(self.certificate.as_bytes())?;
        certificate.check_key(self.key.as_bytes())?;
        Ok(certificate)
    }
}

/// A certificate that was read.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub names: SubjectNames,
    der: Vec<u8>,
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn parse(pem: &[u8]) -> Result<Self, PkiError> {
        let failed = |error: &dyn std::fmt::Display| PkiError::Read { message: error.to_string() };
        let pem = match Pem::iter_from_buffer(pem).next() {
            Some(pem) => pem.map_err(|it| failed(&it))?,
            None => return Err(failed(&"no PEM block")),
        };
        let x509 = pem.parse_x509().map_err(|it| failed(&it))?;
        let time = |it: i64| Timestamp::from_second(it).map_err(|it| failed(&it));
        Ok(Self {
            not_before: time(x509.validity().not_before.timestamp())?,
            not_after: time(x509.validity().not_after.timestamp())?,
            names: names(&x509),
            public_key: x509.public_key().subject_public_key.data.to_vec(),
            der: pem.contents,
        })
    }

    /// Whether `key` (PEM) is this certificate's private key.
    ///
    /// # Errors
    /// When it is not, or cannot be read.
    pub fn check_key(&self, key: &[u8]) -> Result<(), PkiError> {
        let text = std::str::from_utf8(key).map_err(|it| PkiError::Read { message: it.to_string() })?;
        let key = KeyPair::from_pem(text)?;
        if key.public_key_raw() == self.public_key { Ok(()) } else { Err(PkiError::KeyMismatch) }
    }

    /// When the certificate is to be replaced: after two thirds of its life.
    #[must_use]
    pub fn renewal(&self) -> Timestamp {
        renewal(self.not_before, self.not_after)
    }

    /// Whether the certificate of this PEM text signed it.
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let parse = |it: &'_ Self| -> Option<()> {
            let (_, leaf) = x509_parser::parse_x509_certificate(&self.der).ok()?;
            let (_, issuer) = x509_parser::parse_x509_certificate(&it.der).ok()?;
            let named = leaf.issuer().as_raw() == issuer.subject().as_raw();
            (named && leaf.verify_signature(Some(issuer.public_key())).is_ok()).then_some(())
        };
        parse(issuer).is_some()
    }

    /// Whether the certificate vouches for itself.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.is_signed_by(self)
    }
}

fn names(x509: &X509Certificate<'_>) -> SubjectNames {
    let mut names = SubjectNames::default();
    let Ok(Some(extension)) = x509.subject_alternative_name() else { return names };
    for name in &extension.value.general_names {
        match name {
            GeneralName::DNSName(name) => drop(names.dns.insert((*name).to_owned())),
            GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
            _ => {}
        }
    }
    names
}

/// An address in network byte order, 4 or 16 bytes (RFC 5280, section 4.2.1.6).
fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(bytes));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

/// Every certificate of a PEM bundle that can be read.
#[must_use]
pub fn bundle(pem: &str) -> Vec<(String, Certificate)> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END)
        .filter_map(|it| it.find("-----BEGIN CERTIFICATE-----").map(|at| format!("{}\n", &it[at..])))
        .filter_map(|it| Certificate::parse(it.as_bytes()).ok().map(|read| (it, read)))
        .collect()
}
