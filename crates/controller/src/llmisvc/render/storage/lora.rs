//! LoRA adapters: downloaded beside the model or mounted from a claim, and named in the server's arguments.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use llmd_api::names::child_name;
use llmd_api::serving::v1alpha2::{LoraAdapter, LoraSpec};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::initializer::Pair;
use super::pvc;
use super::uri::{DownloadSource, ModelUri, UriError};
use crate::llmisvc::render::workload::pod::{self, MAIN};
use crate::llmisvc::service::Service;

/// Folder with one folder for each adapter. It must not lie below the model's, which is read-only.
const ROOT: &str = "/mnt/lora";
const MODULES_FLAG: &str = "--lora-modules";

/// An adapter whose place is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adapter {
    pub name: String,
    pub uri: ModelUri,
    /// Absolute folder in the pods.
    pub path: String,
}

/// Why an adapter cannot be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AdapterError {
    #[error(transparent)]
    Uri(#[from] UriError),
    #[error("adapters cannot come from {0:?}: use hf://, s3:// or pvc://")]
    Source(String),
}

/// The service's adapters by name; each understood or refused.
pub(super) fn adapters(service: &Service) -> Vec<(String, Result<Adapter, AdapterError>)> {
    let Some(lora) = spec(service) else { return Vec::new() };
    let mut given: Vec<&LoraAdapter> = lora.adapters.iter().collect();
    given.sort_by_key(|it| name(it));
    let mut taken = BTreeSet::new();
    let mut resolve = |it: &LoraAdapter| {
        let uri = supported(&it.uri)?;
        Ok(Adapter { name: name(it).to_owned(), uri, path: folder(name(it), &mut taken) })
    };
    given.into_iter().map(|it| (name(it).to_owned(), resolve(it))).collect()
}

/// What of the adapters has to be downloaded.
pub(super) fn downloads(adapters: &[Adapter]) -> impl Iterator<Item = Pair> + '_ {
    adapters.iter().filter_map(|it| match &it.uri {
        ModelUri::Download(download) => {
            Some(Pair { uri: download.uri.clone(), destination: it.path.clone() })
        }
        ModelUri::Claim(_) | ModelUri::Image { .. } => None,
    })
}

/// Mounts the adapters that lie in claims, and names all of them in the server's arguments, unless these name
/// adapters already.
pub(super) fn attach(service: &Service, pod: &mut PodSpec, adapters: &[Adapter]) {
    for adapter in adapters {
        if let ModelUri::Claim(it) = &adapter.uri {
            pvc::mount(pod, MAIN, &volume(&adapter.name), it, &adapter.path);
        }
    }
    let (Some(lora), Some(container)) = (spec(service), pod::container_mut(pod, MAIN)) else { return };
    if adapters.is_empty() || pod::mentions_flag(container, MODULES_FLAG) {
        return;
    }
    let mut args = flags(lora);
    let quote = runs_in_shell(container);
    args.extend(adapters.iter().flat_map(|it| modules(&service.namespace, it, quote)));
    args.extend(container.args.take().unwrap_or_default());
    container.args = Some(args);
}

fn spec(service: &Service) -> Option<&LoraSpec> {
    service.spec.model.as_ref()?.lora.as_ref()
}

fn name(adapter: &LoraAdapter) -> &str {
    adapter.name.as_deref().unwrap_or_default()
}

fn supported(uri: &str) -> Result<ModelUri, AdapterError> {
    let parsed: ModelUri = uri.parse()?;
    match &parsed {
        ModelUri::Claim(_) => Ok(parsed),
        ModelUri::Download(it) if it.source != DownloadSource::Http => Ok(parsed),
        ModelUri::Download(_) | ModelUri::Image { .. } => Err(AdapterError::Source(uri.to_owned())),
    }
}

/// The adapter's folder: its name with everything unusual replaced. Of two names that become one, the later gets a
/// hash of its own.
fn folder(name: &str, taken: &mut BTreeSet<String>) -> String {
    let usual = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-');
    let mut segment = name.chars().map(|it| if usual(it) { it } else { '-' }).collect::<String>();
    if matches!(segment.as_str(), "" | "." | "..") {
        "adapter".clone_into(&mut segment);
    }
    if !taken.insert(segment.clone()) {
        segment = format!("{segment}-{}", short_hash(name));
        taken.insert(segment.clone());
    }
    format!("{ROOT}/{segment}")
}

/// The volume of an adapter in a claim: its name where that makes a valid one, otherwise made valid and unique.
fn volume(name: &str) -> String {
    let usual = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    if name.chars().all(usual) && name.ends_with(|it| it != '-') {
        return child_name("lora-pvc-", name);
    }
    let label: String = name.to_lowercase().chars().map(|it| if usual(it) { it } else { '-' }).collect();
    child_name("lora-pvc-", &format!("{label}-{}", short_hash(name)))
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())[..4].iter().map(|it| format!("{it:02x}")).collect()
}

fn flags(lora: &LoraSpec) -> Vec<String> {
    let bounds = [
        ("--max-lora-rank", lora.max_rank),
        ("--max-loras", lora.max_adapters),
        ("--max-cpu-loras", lora.max_cpu_adapters),
    ];
    let bounds = bounds.into_iter().filter_map(|(flag, it)| it.map(|it| format!("{flag}={it}")));
    let mut flags = vec!["--enable-lora".to_owned()];
    flags.extend(bounds);
    flags.push(MODULES_FLAG.to_owned());
    flags
}

/// The adapter under its own name and under the one that gateways route by.
fn modules(namespace: &str, adapter: &Adapter, quote: bool) -> [String; 2] {
    let module = |name: &str| {
        let json = json!({"name": name, "path": adapter.path}).to_string();
        if quote { single_quoted(&json) } else { json }
    };
    [module(&adapter.name), module(&format!("publishers/{namespace}/models/{}", adapter.name))]
}

/// Whether the arguments pass through a shell, which presets evaluate them in, and so need quotes.
fn runs_in_shell(container: &Container) -> bool {
    let program = container.command.iter().flatten().next();
    program.and_then(|it| it.rsplit('/').next()).is_some_and(|it| matches!(it, "bash" | "sh"))
}

fn single_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_safe_and_never_shared() {
        let mut taken = BTreeSet::new();
        let folders = ["a.b_C-1", "org/a", "org:a", "..", ""].map(|it| folder(it, &mut taken));
        assert_eq!(folders[..2], ["/mnt/lora/a.b_C-1", "/mnt/lora/org-a"]);
        assert!(folders[2].starts_with("/mnt/lora/org-a-"), "{folders:?}");
        assert_eq!(folders[3], "/mnt/lora/adapter");
        assert_eq!(folders.iter().collect::<BTreeSet<_>>().len(), folders.len(), "{folders:?}");
    }

    #[test]
    fn volumes_have_valid_names_that_differ() {
        assert_eq!(volume("billing-v1"), "lora-pvc-billing-v1");
        let names = ["org/a", "org.a", "Org-a", "a-", &"x".repeat(80)].map(volume);
        for name in &names {
            let valid = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
            assert!(name.len() <= 63 && name.chars().all(valid) && !name.ends_with('-'), "{name}");
        }
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
    }

    #[test]
    fn only_a_shell_gets_quotes() {
        let container =
            |program: &str| Container { command: Some(vec![program.to_owned()]), ..Container::default() };
        assert!(runs_in_shell(&container("/bin/bash")));
        assert!(!runs_in_shell(&container("/usr/bin/llmd-engine")));
        assert!(!runs_in_shell(&Container::default()));
    }
}
