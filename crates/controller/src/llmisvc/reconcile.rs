//! One turn of one service: read, decide, write, report.
//!
//! Everything that can be wrong with a service ends in its status, and the turn is over until something changes; only
//! what another attempt can mend, such as an API server that does not answer, is an error here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use llmd_api::meta;
use llmd_api::serving::conditions as types;
use llmd_api::serving::status::{AppliedConfig, Condition};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceSpec};
use llmd_common::report::Report;

use super::check::check;
use super::combine::{CombineError, Effective, combine};
use super::dry_run;
use super::failure::{STOPPED, blocks, failure_of};
use super::finalize::{self, Finalized};
use super::gather::{gather, references};
use super::section::SectionError;
use super::service::Service;
use super::status::events::{StatusEvent, transition, warnings};
use super::status::{Progress, cut_short, status};
use super::validate::validate;
use super::write_status::write_status;
use crate::apply::{ApplyError, Outcome, apply, apply_only};
use crate::children::ChildKind;
use crate::context::Context;
use crate::events::{self, Note};
use crate::fault::Fault;
use crate::index::Key;
use crate::llmisvc::render::{render, storage};
use crate::pki::PkiError;

/// Time after which a service that waits for others is looked at again.
const WAIT: Duration = Duration::from_secs(5);

/// Time after which a service is looked at again whose objects were refused: no watch tells when a name that somebody
/// else's object takes becomes free, or when whatever refused the object changes its mind.
const REFUSED: Duration = Duration::from_secs(60);

/// Failed attempts after which a service shows a fault that another attempt may mend: 41 seconds after the first one.
/// Until then, what it shows of the same spec is the best that is known: a restart of the API server or of this
/// controller's own webhooks says nothing about the service.
const PATIENCE: u32 = 13;

/// Longest time until a service with a certificate is looked at again.
const LOOK: Duration = Duration::from_secs(24 * 3600);

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Everything is as the service asks.
    Applied,
    /// Something is wrong that only a change elsewhere can mend; the status says what. Where no watch sees that change,
    /// or something is due anyway, the service is to be looked at again after the time `again`.
    Failed { reason: &'static str, again: Option<Duration> },
    /// To be looked at again after this time.
    Waiting(Duration),
}

/// What another attempt can mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The surroundings of the service could not be read.
    #[error("cannot read what the service depends on")]
    Gather(#[source] Fault),
    /// The installation's certificate authority is not read yet.
    #[error("the installation's certificate authority is not there yet")]
    NoAuthority,
    /// The service's certificate could not be made.
    #[error("cannot make the service's certificate")]
    Certificate(#[source] Box<PkiError>),
    /// The API server could not judge the effective spec.
    #[error("cannot validate the effective spec")]
    Validate(#[source] Fault),
    /// What lies outside the service's namespace could not be removed.
    #[error("cannot remove the bindings of the service")]
    Bindings(#[source] Fault),
    /// An object could not be written.
    #[error("cannot bring the objects of the service into the cluster")]
    Apply(#[source] Box<ApplyError>),
    /// Something of a config could not be written.
    #[error("cannot write the {what} of the config")]
    Config {
        what: &'static str,
        #[source]
        source: Fault,
    },
    /// The status or the finalizer could not be written.
    #[error("cannot write the {what} of the service")]
    Service {
        what: &'static str,
        #[source]
        source: Fault,
    },
}

impl Error {
    /// Stable label for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Gather(_) => "gather",
            Self::NoAuthority | Self::Certificate(_) => "certificate",
            Self::Validate(_) => "validate",
            Self::Bindings(_) => "bindings",
            Self::Apply(_) => "apply",
            Self::Config { .. } => "config",
            Self::Service { .. } => "service",
        }
    }

    /// What the service has to show of it. `None` where the status tells already, or cannot be written.
    fn failure(&self) -> Option<SectionError> {
        let (condition, reason) = match self {
            Self::Gather(_) => (types::WORKLOADS_READY, "DependenciesUnavailable"),
            Self::NoAuthority => (types::WORKLOADS_READY, "CertificateAuthorityUnavailable"),
            Self::Certificate(_) => (types::WORKLOADS_READY, "ReconcileCertsError"),
            Self::Validate(_) => (types::PRESETS_COMBINED, "ValidationUnavailable"),
            Self::Bindings(_) => (types::WORKLOADS_READY, "BindingsNotRemoved"),
            Self::Apply(_) | Self::Config { .. } | Self::Service { .. } => return None,
        };
        Some(SectionError::new(condition, reason, Report(self).to_string()).unknown())
    }
}

/// Brings the service `key` one turn closer to what it asks for.
///
/// # Errors
/// When another attempt can help. The status has been written all the same where that was possible.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Done, Error> {
    let Some(object) = context.caches.service(key) else {
        forget(context, key);
        return Ok(Done::Applied);
    };
    if object.metadata.deletion_timestamp.is_some() {
        let end = finalize::finalize(context, key, &object).await;
        let end = told(context, key, &object, end).await?;
        return Ok(match end {
            Finalized::Gone => Done::Applied,
            Finalized::Waiting => Done::Waiting(WAIT),
        });
    }
    let Some(object) = finalize::ensure(context, object).await? else { return Ok(Done::Applied) };
    let done = Box::pin(bring_about(context, key, &object)).await;
    if let Err(Error::Validate(fault)) = &done
        && fault.is_namespace_terminating()
    {
        // What comes next is the end of the service.
        return Ok(Done::Failed { reason: "NamespaceTerminating", again: None });
    }
    told(context, key, &object, done).await
}

/// Has the service show a failure that lasts.
async fn told<T>(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    outcome: Result<T, Error>,
) -> Result<T, Error> {
    let Err(error) = &outcome else { return outcome };
    let Some(failure) = error.failure() else { return outcome };
    let observed = object.status.as_ref().and_then(|it| it.observed_generation);
    let is_observed = observed.is_some() && observed == object.metadata.generation;
    let is_patient = is_observed && context.caches.services_queue.failures(key) < PATIENCE;
    if !is_patient && let Err(unwritten) = report_cut_short(context, key, object, failure).await {
        tracing::debug!(error = %Report(&unwritten), "the failure cannot be told either");
    }
    outcome
}

/// What is done with a service that stays.
async fn bring_about(context: &Context, key: &Key, object: &LLMInferenceService) -> Result<Done, Error> {
    let settings = context.caches.settings.load_full();
    let refer = |effective| references(object, effective, &context.installation, &settings, &context.caches);
    // A config that changes while they are combined wakes the service again.
    context.caches.index.set(key, refer(None));
    let combined = combine(object, &context.caches, &context.installation, &settings);
    context.caches.index.set(key, refer(combined.as_ref().ok()));
    let (effective, mut failures) = match accept(object, combined) {
        Ok(accepted) => accepted,
        Err(failure) => return report_cut_short(context, key, object, failure).await,
    };
    if let Some(failure) = invalid(object, &effective) {
        return report_cut_short(context, key, object, failure).await;
    }
    let judgement = dry_run::validate(context, key, object, &effective);
    let (judgement, facts) = tokio::join!(judgement, gather(context, key, object, &effective.spec));
    if let Some(failure) = judgement.map_err(Error::Validate)? {
        return report_cut_short(context, key, object, failure).await;
    }
    let facts = facts.map_err(|it| Error::Gather(it.into()))?;
    let mut service =
        Service::new(object, effective.spec.clone(), Arc::clone(&context.installation), settings, facts);
    failures.extend(check(&service));
    publish_warnings(context, object, &service);
    let is_blocked = failures.iter().any(blocks);
    let first =
        if is_blocked { Outcome::default() } else { apply_services(context, object, &mut service).await };
    let renewal = certify(context, &mut service)?;
    let outcome = if is_blocked {
        Outcome::default()
    } else {
        let children = render(&service);
        let mut outcome = apply(context, object, &service.facts.live, &children).await;
        failures.extend(outcome.failures.iter().map(|it| failure_of(it, &children)));
        outcome.created.extend(first.created);
        outcome.updated.extend(first.updated);
        outcome
    };
    service.facts.live = context.caches.live.of(key);
    report(context, key, object, &service, &effective, &failures, &outcome).await?;
    conclude(&failures, outcome, renewal)
}

/// The spec that is worked on, and where it comes from.
#[derive(Debug, Default)]
pub struct Accepted {
    pub spec: LLMInferenceServiceSpec,
    /// The configs that went in, lowest first.
    pub applied: Vec<AppliedConfig>,
    /// Preset names to stay with.
    pub pins: BTreeMap<String, String>,
}

/// The effective spec, with what does not keep the service from being worked on. A stopped service is worked on whatever
/// its configs are, because its objects have to go.
fn accept(
    object: &LLMInferenceService,
    combined: Result<Effective, CombineError>,
) -> Result<(Accepted, Vec<SectionError>), SectionError> {
    let error = match combined {
        Ok(Effective { spec, applied, pins, .. }) => {
            return Ok((Accepted { spec, applied, pins }, Vec::new()));
        }
        Err(error) => error,
    };
    let is_stopped = object.metadata.annotations.as_ref().is_some_and(meta::is_stopped);
    if !is_stopped {
        return Err(SectionError::new(types::PRESETS_COMBINED, error.reason(), Report(&error).to_string()));
    }
    let message = format!("Service is stopped with warning: {}", Report(&error));
    let raw = Accepted { spec: object.spec.clone(), ..Accepted::default() };
    Ok((raw, vec![SectionError::new(types::PRESETS_COMBINED, STOPPED, message)]))
}

/// What admission would refuse about the service with its effective spec: configs may not bring in what a user may not
/// write, and admission may be switched off.
fn invalid(object: &LLMInferenceService, effective: &Accepted) -> Option<SectionError> {
    if object.metadata.annotations.as_ref().is_some_and(meta::is_stopped) {
        return None;
    }
    let metadata = object.metadata.clone();
    let service = LLMInferenceService { metadata, spec: effective.spec.clone(), status: None };
    let errors = validate(&service, None).errors;
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    (!texts.is_empty())
        .then(|| SectionError::new(types::PRESETS_COMBINED, "InvalidRenderedConfig", texts.join("; ")))
}

/// Reports what cut the turn short. The service's objects stay as they are.
async fn report_cut_short(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    failure: SectionError,
) -> Result<Done, Error> {
    let previous = object.status.clone().unwrap_or_default();
    let next = cut_short(object.metadata.generation.unwrap_or_default(), &failure, &previous, &now());
    let is_told = !is_new_failure(&failure, &previous.conditions);
    if write_status(context, key, object, &next).await? && !is_told {
        let message = format!("Reconciliation failed: {}", failure.message);
        context.events.service(object, Note::warning("Error", message));
    }
    Ok(Done::Failed { reason: failure.reason, again: None })
}

/// Writes the status and publishes what happened.
async fn report(
    context: &Context,
    key: &Key,
    object: &LLMInferenceService,
    service: &Service,
    effective: &Accepted,
    failures: &[SectionError],
    outcome: &Outcome,
) -> Result<(), Error> {
    context.metrics.wrote(outcome);
    for note in events::changes(&key.namespace, outcome) {
        context.events.service(object, note);
    }
    let progress = Progress {
        generation: object.metadata.generation.unwrap_or_default(),
        applied: &effective.applied,
        pins: Some(&effective.pins),
        errors: failures,
    };
    let previous = object.status.clone().unwrap_or_default();
    let next = status(service, &progress, &previous, &now());
    let is_new = write_status(context, key, object, &next).await?;
    if is_new {
        for failure in failures.iter().filter(|it| is_new_failure(it, &previous.conditions)) {
            let message = format!("Reconciliation failed: {}", failure.message);
            context.events.service(object, Note::warning("Error", message));
        }
        if let Some(event) = transition(&key.name, &previous.conditions, &next.conditions) {
            context.events.service(object, note(event));
        }
    }
    Ok(())
}

/// Brings in the Services before the first certificate is made: it vouches for their addresses, and would have to be
/// made once more when they come. A failure here comes again when everything is applied.
async fn apply_services(context: &Context, object: &LLMInferenceService, service: &mut Service) -> Outcome {
    if service.facts.live.get(ChildKind::Secret, &service.names().certificate()).is_some() {
        return Outcome::default();
    }
    let mut services = render(service);
    services.retain(|it| it.kind == ChildKind::Service);
    let outcome = apply_only(context, object, &service.facts.live, &services).await;
    service.facts.live = context.caches.live.of(&Key::new(&service.namespace, &service.name));
    outcome
}

/// Adds the service's certificate to its facts. Returns the time until it has to be looked at again.
fn certify(context: &Context, service: &mut Service) -> Result<Option<Duration>, Error> {
    if service.is_stopped() {
        return Ok(None);
    }
    let issuer = context.certificates.get().ok_or(Error::NoAuthority)?;
    let now = Timestamp::now();
    service.facts.certificate = issuer.gather(service, now).map_err(|it| Error::Certificate(Box::new(it)))?;
    let renewal = service.facts.certificate.secret.as_ref().map(|it| it.renewal);
    let left = renewal.map(|it| Duration::try_from(it.duration_since(now)).unwrap_or_default());
    Ok(left.map(|it| it.clamp(WAIT, LOOK)))
}

/// Publishes what is odd about the service and keeps nothing from working.
fn publish_warnings(context: &Context, object: &LLMInferenceService, service: &Service) {
    let storage = storage::warnings(service).into_iter().map(|it| Note::warning(it.reason, it.message));
    let routing = warnings(service).into_iter().map(note);
    context.events.standing(object, storage.chain(routing).collect());
}

/// Whether the conditions do not tell of the failure yet: while it lasts, other parts of the status change many times.
fn is_new_failure(failure: &SectionError, conditions: &[Condition]) -> bool {
    let told = |it: &Condition| {
        it.type_ == failure.condition && it.reason == failure.reason && it.message == failure.message
    };
    !conditions.iter().any(told)
}

fn note(event: StatusEvent) -> Note {
    let StatusEvent { warning, reason, message } = event;
    Note { warning, reason, message }
}

fn conclude(failures: &[SectionError], outcome: Outcome, renewal: Option<Duration>) -> Result<Done, Error> {
    let refused = (!outcome.failures.is_empty()).then_some(REFUSED);
    if let Some(error) = outcome.failures.into_iter().find(ApplyError::retry) {
        return Err(Error::Apply(Box::new(error)));
    }
    Ok(match (failures.first(), renewal) {
        (Some(failure), _) => {
            Done::Failed { reason: failure.reason, again: refused.into_iter().chain(renewal).min() }
        }
        (None, Some(time)) => Done::Waiting(time),
        (None, None) => Done::Applied,
    })
}

/// Drops what is remembered of a service that is gone.
fn forget(context: &Context, key: &Key) {
    context.caches.index.set(key, BTreeSet::new());
    context.applied.forget(key);
    context.metrics.service(key, None);
}

/// The time as conditions have it: RFC 3339 in UTC, to the second.
#[must_use]
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
