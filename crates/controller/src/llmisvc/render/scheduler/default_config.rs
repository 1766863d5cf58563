//! The configuration of an endpoint picker for which the user gave none.

use k8s_openapi::api::core::v1::Container;
use serde_json::{Value, json};

use crate::llmisvc::service::Service;

/// What the generated configuration depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Prefill and decode are picked apart.
    pub disaggregated: bool,
    /// Requests for an adapter go where it is loaded.
    pub lora: bool,
    /// llmd's own endpoint picker reads it, which has fewer plugins and refuses those it does not know.
    pub llmd: bool,
}

impl Shape {
    /// Every shape there is.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|it| Self { disaggregated: it & 1 != 0, lora: it & 2 != 0, llmd: it & 4 != 0 })
    }

    /// What `container` needs as the endpoint picker of `service`.
    pub(super) fn of(service: &Service, container: &Container) -> Self {
        let lora = service.spec.model.as_ref().and_then(|it| it.lora.as_ref());
        let program = container.command.iter().flatten().next();
        Self {
            disaggregated: service.is_disaggregated(),
            lora: lora.is_some_and(|it| !it.adapters.is_empty()),
            llmd: program.is_some_and(|it| it.rsplit('/').next() == Some(LLMD)),
        }
    }

    /// The plugin that stands for `plugin`, where there is one.
    fn spelling(self, plugin: &'static str) -> Option<&'static str> {
        match plugin {
            LORA | "no-hit-lru-scorer" if self.llmd => None,
            "active-request-scorer" if self.llmd => Some("running-requests-size-scorer"),
            it => Some(it),
        }
    }
}

/// llmd's own endpoint picker.
const LLMD: &str = "llmd-epp";

/// The EndpointPickerConfig for this shape.
pub(super) fn document(shape: Shape) -> Value {
    let mut plugins: Vec<Value> = plugin_types(shape).iter().map(|type_| json!({ "type": type_ })).collect();
    if shape.disaggregated {
        plugins.push(json!({
            "type": "disagg-profile-handler",
            "parameters": { "deciders": { "prefill": "always-disagg-pd-decider" } },
        }));
    }
    json!({
        "apiVersion": "llm-d.ai/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": plugins,
        "schedulingProfiles": profiles(shape),
    })
}

const LORA: &str = "lora-affinity-scorer";
const PICKER: &str = "max-score-picker";

/// The plugins without parameters, in order.
fn plugin_types(shape: Shape) -> Vec<&'static str> {
    let (before, after): (&[&str], &[&str]) = if shape.disaggregated {
        (
            &[
                "disagg-headers-handler",
                "prefill-filter",
                "decode-filter",
                "queue-scorer",
                "kv-cache-utilization-scorer",
                "active-request-scorer",
                "prefix-cache-scorer",
            ],
            &[PICKER, "always-disagg-pd-decider"],
        )
    } else {
        (
            &[
                "single-profile-handler",
                "queue-scorer",
                "kv-cache-utilization-scorer",
                "prefix-cache-scorer",
                "no-hit-lru-scorer",
            ],
            &[PICKER],
        )
    };
    let lora: &[&str] = if shape.lora { &[LORA] } else { &[] };
    [before, lora, after].into_iter().flatten().filter_map(|&it| shape.spelling(it)).collect()
}

fn profiles(shape: Shape) -> Value {
    if shape.disaggregated {
        let prefill = [("prefix-cache-scorer", 3), ("queue-scorer", 2), ("kv-cache-utilization-scorer", 2)];
        let decode = [("active-request-scorer", 2), ("prefix-cache-scorer", 3)];
        json!([
            profile("prefill", Some("prefill-filter"), &prefill, shape),
            profile("decode", Some("decode-filter"), &decode, shape),
        ])
    } else {
        let scorers = [
            ("queue-scorer", 2),
            ("kv-cache-utilization-scorer", 2),
            ("prefix-cache-scorer", 3),
            ("no-hit-lru-scorer", 2),
        ];
        json!([profile("default", None, &scorers, shape)])
    }
}

/// A profile: at most one filter, weighted scorers, the picker.
fn profile(name: &str, filter: Option<&str>, scorers: &[(&'static str, u32)], shape: Shape) -> Value {
    let mut plugins: Vec<Value> = filter.map(|it| json!({ "pluginRef": it })).into_iter().collect();
    let lora = shape.lora.then_some((LORA, 4));
    let weighted = |(name, weight)| Some(json!({ "pluginRef": shape.spelling(name)?, "weight": weight }));
    plugins.extend(scorers.iter().copied().chain(lora).filter_map(weighted));
    plugins.push(json!({ "pluginRef": PICKER }));
    json!({ "name": name, "plugins": plugins })
}
