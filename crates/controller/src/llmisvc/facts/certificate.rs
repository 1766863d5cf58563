//! The certificate of the service's pods: the live one, or a new one when it no longer fits.
//!
//! [`judge`] is the decision and pure; [`CertificateIssuer`] carries it out, because a new key is nothing that
//! rendering can derive. A certificate that KServe made stays until it expires or lacks a name.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::Timestamp;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::children::ChildKind;
use crate::live::{LiveCertificate, LiveDetail};
use crate::llmisvc::render::scheduler;
use crate::llmisvc::service::Service;
use crate::pki::{Authority, Certificate, KeyedCertificate, PkiError, SubjectNames};
use crate::settings::ClusterSettings;

/// Annotation with the renewal time where the settings name no other.
const EXPIRATION: &str = "certificates.kserve.io/expiration";
/// Certificates that are remembered between their making and their appearance in the caches. Beyond it, the oldest
/// is forgotten and made once more if it is still missing.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// PEM files of the service's certificate Secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// `None` when rendered offline.
    pub secret: Option<ServiceCertificate>,
}

/// What the Secret shall hold.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceCertificate {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    /// What clients verify the certificate with.
    pub ca: Vec<u8>,
    /// When it is to be replaced; the service must be looked at again then.
    pub renewal: Timestamp,
}

impl std::fmt::Debug for ServiceCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceCertificate").field("renewal", &self.renewal).finish_non_exhaustive()
    }
}

/// What is to be done with a live certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It fits. `ours` = an authority of this installation signed it.
    Keep {
        ours: bool,
        renewal: Timestamp,
    },
    Issue(IssueReason),
}

/// Why a new certificate is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueReason {
    /// There is none.
    Missing,
    /// It cannot be read, or its key is another's.
    Unusable,
    /// Its renewal time has come.
    Expiring,
    /// A needed name or address is not in it.
    Names,
    /// An authority signed it that this installation does not have.
    UnknownAuthority,
}

impl IssueReason {
    /// Stable label for logs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unusable => "unusable",
            Self::Expiring => "expiring",
            Self::Names => "names",
            Self::UnknownAuthority => "unknown_authority",
        }
    }
}

/// Annotations that carry the renewal time: the first is written, all are read.
#[must_use]
pub fn expiration_annotations(settings: &ClusterSettings) -> Vec<&str> {
    let given = &settings.scheduler.expiration_annotations;
    if given.is_empty() { vec![EXPIRATION] } else { given.iter().map(String::as_str).collect() }
}

/// Decides on the `live` certificate of a service that needs `needed`.
#[must_use]
pub fn judge(
    live: Option<&LiveCertificate>,
    needed: &SubjectNames,
    authority: &Authority,
    annotations: &[&str],
    now: Timestamp,
) -> Decision {
    let Some(live) = live else { return Decision::Issue(IssueReason::Missing) };
    let certificate =
        Certificate::parse(&live.certificate).and_then(|it| it.check_key(&live.key).map(|()| it));
    let Ok(certificate) = certificate else { return Decision::Issue(IssueReason::Unusable) };
    let annotated = annotations.iter().find_map(|it| live.annotations.get(*it)?.parse::<Timestamp>().ok());
    let renewal = annotated.unwrap_or_else(|| certificate.renewal()).min(certificate.not_after);
    if renewal <= now {
        return Decision::Issue(IssueReason::Expiring);
    }
    if !certificate.names.cover(needed) {
        return Decision::Issue(IssueReason::Names);
    }
    let ours = authority.signed(&certificate);
    if ours || certificate.is_self_signed() {
        Decision::Keep { ours, renewal }
    } else {
        Decision::Issue(IssueReason::UnknownAuthority)
    }
}

/// The names and addresses under which the service's pods are reached as it is now.
#[must_use]
pub fn needed(service: &Service) -> SubjectNames {
    let mut names = SubjectNames::default();
    names.insert("localhost");
    names.addresses.insert(IpAddr::V4(Ipv4Addr::LOCALHOST));
    names.dns.extend(host_names(service, &service.names().workload_service()));
    if let Some(picker) = scheduler::service_name(service) {
        names.dns.extend(host_names(service, &picker));
    }
    if scheduler::managed(service).is_some_and(|it| it.tokenizer.is_some()) {
        names.dns.extend(host_names(service, &service.names().tokenizer()));
    }
    names.addresses.extend(&service.facts.live.pod_ips);
    for child in service.facts.live.children.iter().filter(|it| it.kind == ChildKind::Service) {
        if let LiveDetail::Service(addresses) = &child.detail {
            names.addresses.extend(addresses);
        }
    }
    names
}

/// What a new certificate vouches for: what is needed, and what adding a section would need.
fn issued_for(service: &Service) -> SubjectNames {
    let mut names = needed(service);
    for name in [service.names().scheduler_service(), service.names().tokenizer()] {
        names.dns.extend(host_names(service, &name));
    }
    names
}

fn host_names(service: &Service, name: &str) -> [String; 2] {
    let short = format!("{name}.{}.svc", service.namespace);
    [format!("{short}.{}", service.installation.cluster_domain), short]
}

/// Issues certificates for services, and remembers those that the caches do not show yet, so that reconciling
/// again before they do gives the same bytes.
#[derive(Debug)]
pub struct CertificateIssuer {
    authority: watch::Receiver<Arc<Authority>>,
    /// By uid of the service.
    issued: Mutex<LruCache<String, LiveCertificate>>,
}

impl CertificateIssuer {
    /// Issues with whatever authority `authority` holds at the time.
    #[must_use]
    pub fn new(authority: watch::Receiver<Arc<Authority>>) -> Self {
        Self { authority, issued: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// PEM of the authorities that clients of services trust.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.authority.borrow().bundle().to_owned()
    }

    /// The certificate of `service`, whose other facts are gathered: the live one, or a new one.
    ///
    /// # Errors
    /// When no certificate can be made.
    pub fn gather(&self, service: &Service, now: Timestamp) -> Result<CertificateFacts, PkiError> {
        let authority = Arc::clone(&self.authority.borrow());
        let annotations = expiration_annotations(&service.settings);
        let needed = needed(service);
        let judge = |live: Option<&LiveCertificate>| judge(live, &needed, &authority, &annotations, now);

        let live = live(service);
        let reason = match (judge(live), live) {
            (Decision::Keep { ours, renewal }, Some(live)) => {
                self.issued.lock().pop(&service.uid);
                return Ok(facts(live, ours.then(|| authority.bundle()), renewal));
            }
            (Decision::Issue(reason), _) => reason,
            (Decision::Keep { .. }, None) => IssueReason::Missing,
        };
        let remembered = self.issued.lock().get(&service.uid).cloned();
        if let Some(remembered) = &remembered
            && let Decision::Keep { renewal, .. } = judge(Some(remembered))
        {
            return Ok(facts(remembered, Some(authority.bundle()), renewal));
        }
        tracing::info!(
            namespace = service.namespace,
            service = service.name,
            reason = reason.reason(),
            "issuing a certificate"
        );
        let issued = as_live(authority.issue("llmd", &issued_for(service), now)?);
        let renewal = Certificate::parse(&issued.certificate)?.renewal();
        self.issued.lock().put(service.uid.clone(), issued.clone());
        Ok(facts(&issued, Some(authority.bundle()), renewal))
    }
}

fn live(service: &Service) -> Option<&LiveCertificate> {
    match &service.facts.live.get(ChildKind::Secret, &service.names().certificate())?.detail {
        LiveDetail::Certificate(it) => Some(it),
        _ => None,
    }
}

fn as_live(issued: KeyedCertificate) -> LiveCertificate {
    LiveCertificate {
        certificate: issued.certificate.into_bytes(),
        key: issued.key.into_bytes(),
        ..LiveCertificate::default()
    }
}

/// A certificate of this installation comes with its bundle; one of KServe keeps what it came with.
fn facts(certificate: &LiveCertificate, bundle: Option<&str>, renewal: Timestamp) -> CertificateFacts {
    CertificateFacts {
        secret: Some(ServiceCertificate {
            certificate: certificate.certificate.clone(),
            key: certificate.key.clone(),
            ca: bundle.map_or_else(|| certificate.ca.clone(), |it| it.as_bytes().to_vec()),
            renewal,
        }),
    }
}

#[cfg(test)]
mod tests;
