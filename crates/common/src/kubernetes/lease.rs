//! Leader election on a Lease, with the rules and times of Kubernetes' own clients, so that both kinds of controller
//! respect each other's lease.
//!
//! A holder renews every 2 s and gives up when it could not for 10 s; others take a lease over that did not change for
//! 15 s *by their own clock*. The holder gives the lease back when the process ends.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::time::Instant;

use crate::report::Report;

/// Time after which a lease that nobody renews can be taken.
const DURATION: Duration = Duration::from_secs(15);
/// Time without a renewal after which a holder gives up.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two attempts.
const RETRY: Duration = Duration::from_secs(2);

/// One candidate.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    namespace: String,
    identity: String,
    /// The lease as last seen, and when it last changed.
    seen: Option<(LeaseSpec, Instant)>,
}

impl Election {
    /// A candidate `identity` for the Lease `namespace`/`name`. Identities of two candidates must differ.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            identity,
            seen: None,
        }
    }

    /// Waits until this candidate holds the lease.
    pub async fn acquire(&mut self) {
        tracing::info!(lease = %self.name, namespace = %self.namespace, identity = %self.identity, "waiting for the lease");
        while self.attempt().await != Attempt::Held {
            tokio::time::sleep(RETRY).await;
        }
        tracing::info!(lease = %self.name, "leading");
    }

    /// Renews the lease until somebody else has it or no renewal succeeds in time. A renewal counts from when it was
    /// begun: the API server may have stored it at once and answered late, and others count from what is stored.
    pub async fn hold(&mut self) {
        let mut renewed = Instant::now();
        loop {
            let begun = Instant::now() + RETRY;
            let attempt = async {
                tokio::time::sleep_until(begun).await;
                self.attempt().await
            };
            match tokio::time::timeout_at(renewed + RENEW_DEADLINE, attempt).await {
                Ok(Attempt::Held) => renewed = begun,
                Ok(Attempt::Failed) => {}
                Ok(Attempt::Taken) | Err(_) => {
                    tracing::error!(lease = %self.name, "lost the lease");
                    return;
                }
            }
        }
    }

    /// Gives the lease back, so that the next candidate need not wait.
    pub async fn release(&mut self) {
        let result = tokio::time::timeout(RETRY, async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
                return Ok(());
            }
            *spec = released(spec, Timestamp::now());
            self.api.replace(&self.name, &PostParams::default(), &lease).await.map(drop)
        });
        match result.await {
            Ok(Ok(())) => tracing::info!(lease = %self.name, "lease released"),
            Ok(Err(error)) => {
                let error: kube::Error = error;
                tracing::warn!(error = %Report(&error), "cannot release the lease");
            }
            Err(_) => tracing::warn!("releasing the lease took too long"),
        }
    }

    /// One attempt to take or renew the lease.
    async fn attempt(&mut self) -> Attempt {
        match tokio::time::timeout(RENEW_DEADLINE / 2, self.try_once()).await {
            Ok(Ok(true)) => Attempt::Held,
            Ok(Ok(false)) => Attempt::Taken,
            // Somebody else was faster.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => Attempt::Failed,
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.name, error = %Report(&error), "cannot reach the lease");
                Attempt::Failed
            }
            Err(_) => {
                tracing::warn!(lease = %self.name, "the API server did not answer about the lease in time");
                Attempt::Failed
            }
        }
    }

    async fn try_once(&mut self) -> kube::Result<bool> {
        let now = Timestamp::now();
        let Some(mut lease) = self.api.get_opt(&self.name).await? else {
            let spec = claimed(&LeaseSpec::default(), &self.identity, now);
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(spec.clone()),
            };
            self.api.create(&PostParams::default(), &lease).await?;
            self.seen = Some((spec, Instant::now()));
            return Ok(true);
        };
        let found = lease.spec.clone().unwrap_or_default();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != found) {
            self.seen = Some((found.clone(), Instant::now()));
        }
        let age = self.seen.as_ref().map(|(_, at)| at.elapsed()).unwrap_or_default();
        if !may_claim(&found, &self.identity, age) {
            return Ok(false);
        }
        let spec = claimed(&found, &self.identity, now);
        lease.spec = Some(spec.clone());
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        self.seen = Some((spec, Instant::now()));
        Ok(true)
    }
}

/// What an attempt to take or renew the lease came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Held,
    /// Another candidate holds it.
    Taken,
    /// It is not known who holds it.
    Failed,
}

/// Whether `identity` may take the lease `found`, which has not changed for `age`.
fn may_claim(found: &LeaseSpec, identity: &str, age: Duration) -> bool {
    let holder = found.holder_identity.as_deref().unwrap_or_default();
    let seconds = found.lease_duration_seconds.and_then(|it| u64::try_from(it).ok());
    holder.is_empty() || holder == identity || age >= seconds.map_or(DURATION, Duration::from_secs)
}

/// The lease after `identity` took or renewed it.
fn claimed(found: &LeaseSpec, identity: &str, now: Timestamp) -> LeaseSpec {
    let is_renewal = found.holder_identity.as_deref() == Some(identity);
    let transitions = found.lease_transitions.unwrap_or_default();
    let was_held_before = found.acquire_time.is_some();
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: if is_renewal { found.acquire_time.clone() } else { Some(MicroTime(now)) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if is_renewal || !was_held_before { transitions } else { transitions + 1 }),
        ..found.clone()
    }
}

/// The lease after its holder gave it back.
fn released(held: &LeaseSpec, now: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        lease_transitions: held.lease_transitions,
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests;
