//! Configs: who uses each one, and that none goes while it is used.
//!
//! A config counts as used by the services whose status says that they applied it, and by those that name it and have
//! no status yet. An annotation lets a used config go all the same, so that an installation can be removed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use llmd_api::meta::{ALLOW_CONFIG_DELETION, CONFIG_FINALIZER};
use llmd_api::serving::status::{Condition, LLMInferenceServiceConfigStatus, ServiceReference};
use llmd_api::serving::v1alpha2::{LLMInferenceService, LLMInferenceServiceConfig};

use crate::context::Context;
use crate::events::Note;
use crate::index::Key;
use crate::llmisvc::reconcile::{Done, Error, now};
use crate::primary;
use crate::settings::Installation;

/// Time after which a config that waits for its users is looked at again.
const WAIT: Duration = Duration::from_secs(30);
/// Condition: services use the config.
const IN_USE: &str = "ConfigInUse";
const READY: &str = "Ready";

/// Brings status and finalizer of the config `key` up to date.
///
/// # Errors
/// When the config cannot be written.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Done, Error> {
    let Some(mut config) = context.caches.config(key) else { return Ok(Done::Applied) };
    let users = users(context, key);
    let is_deleting = config.metadata.deletion_timestamp.is_some();
    let is_held = config.finalizers().iter().any(|it| it == CONFIG_FINALIZER);
    if !is_deleting && !is_held {
        let all: Vec<_> = config.finalizers().iter().map(String::as_str).chain([CONFIG_FINALIZER]).collect();
        let Some(held) = set_finalizers(context, &config, &all).await? else { return Ok(Done::Applied) };
        config = held;
    }
    if is_deleting && is_held && (users.is_empty() || may_go(&config)) {
        let others = config.finalizers().iter().map(String::as_str).filter(|it| *it != CONFIG_FINALIZER);
        set_finalizers(context, &config, &others.collect::<Vec<_>>()).await?;
        return Ok(Done::Applied);
    }
    let is_blocked = is_deleting && is_held;
    let status = status(&config, users, is_blocked, &now());
    let is_new = write_status(context, &config, &status).await?;
    if is_blocked {
        if is_new {
            context.events.config(&*config, Note::warning("DeletionBlocked", blocked_message(&status)));
        }
        return Ok(Done::Waiting(WAIT));
    }
    Ok(Done::Applied)
}

/// Whether the config asks to go although services use it.
fn may_go(config: &LLMInferenceServiceConfig) -> bool {
    config.annotations().get(ALLOW_CONFIG_DELETION).is_some_and(|it| it.eq_ignore_ascii_case("true"))
}

/// The services that use the config `key`, sorted.
fn users(context: &Context, key: &Key) -> BTreeSet<ServiceReference> {
    let services = context.caches.services.all();
    let using = services.iter().filter(|it| uses(it, key, &context.installation));
    using
        .map(|it| ServiceReference { name: it.name_any(), namespace: it.namespace().unwrap_or_default() })
        .collect()
}

/// Whether the service applied the config, or is about to because it names it.
fn uses(service: &LLMInferenceService, config: &Key, installation: &Installation) -> bool {
    if service.status.is_some() {
        let applied = service.status.iter().flat_map(|it| &it.applied_configs);
        return applied.into_iter().any(|it| it.name == config.name && it.namespace == config.namespace);
    }
    let is_in_scope = service.namespace().as_ref() == Some(&config.namespace)
        || config.namespace == installation.system_namespace;
    is_in_scope && service.spec.base_refs.iter().any(|it| it.name == config.name)
}

fn status(
    config: &LLMInferenceServiceConfig,
    users: BTreeSet<ServiceReference>,
    is_blocked: bool,
    now: &str,
) -> LLMInferenceServiceConfigStatus {
    let previous = config.status.clone().unwrap_or_default();
    let n_users = users.len();
    let (in_use, reason, message) = match (n_users, is_blocked) {
        (0, _) => ("False", "NotInUse", String::new()),
        (_, false) => ("True", "InUse", format!("{n_users} LLMInferenceServices use this config")),
        (_, true) => {
            let message = format!(
                "deletion waits for {n_users} LLMInferenceServices that use this config; annotate it with \
                 {ALLOW_CONFIG_DELETION}=true to delete it all the same"
            );
            ("True", "DeletionBlocked", message)
        }
    };
    let condition = |type_: &str, status: &str, reason: &str, message: String| {
        let before = previous.conditions.iter().find(|it| it.type_ == type_);
        let since = before
            .filter(|it| (it.status.as_str(), it.reason.as_str(), &it.message) == (status, reason, &message))
            .and_then(|it| it.last_transition_time.clone());
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            severity: if type_ == READY { String::new() } else { "Info".to_owned() },
            last_transition_time: since.or_else(|| Some(now.to_owned())),
            reason: reason.to_owned(),
            message,
        }
    };
    LLMInferenceServiceConfigStatus {
        observed_generation: config.metadata.generation,
        conditions: vec![
            condition(IN_USE, in_use, reason, message),
            condition(READY, "True", "", String::new()),
        ],
        annotations: previous.annotations.clone(),
        referenced_by: users.into_iter().collect(),
    }
}

fn blocked_message(status: &LLMInferenceServiceConfigStatus) -> String {
    let blocked = status.conditions.iter().find(|it| it.type_ == IN_USE);
    blocked.map(|it| it.message.clone()).unwrap_or_default()
}

fn error(what: &'static str, source: kube::Error) -> Error {
    Error::Config { what, source: source.into() }
}

async fn set_finalizers(
    context: &Context,
    config: &LLMInferenceServiceConfig,
    finalizers: &[&str],
) -> Result<Option<Arc<LLMInferenceServiceConfig>>, Error> {
    let patched = primary::set_finalizers(&context.client, config, finalizers).await;
    Ok(patched.map_err(|it| error("finalizer", it))?.map(|it| context.caches.config_written(it)))
}

/// Writes the status unless the config has it already. Returns whether it was written.
async fn write_status(
    context: &Context,
    config: &LLMInferenceServiceConfig,
    status: &LLMInferenceServiceConfigStatus,
) -> Result<bool, Error> {
    if config.status.as_ref() == Some(status) {
        return Ok(false);
    }
    let written = primary::replace_status(&context.client, config, status).await;
    let Some(written) = written.map_err(|it| error("status", it))? else { return Ok(false) };
    context.caches.config_written(written);
    Ok(true)
}

#[cfg(test)]
mod tests;
