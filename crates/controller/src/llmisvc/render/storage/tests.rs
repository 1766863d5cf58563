//! Every file in `testdata/render/storage` is a service with its surroundings; the snapshots show its pods and what
//! is reported about it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::apis::Apis;
use crate::children::ChildKind;
use crate::live::{LiveChild, LiveChildren, LiveDeployment, LiveDetail};
use crate::llmisvc::facts::Facts;
use crate::llmisvc::facts::accounts::AccountFacts;
use crate::llmisvc::facts::storage::{CaBundle, StorageFacts};
use crate::settings::{ClusterSettings, Installation};

/// A service and what surrounds it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct Fixture {
    service: Value,
    /// Keys of ConfigMap `inferenceservice-config`.
    settings: BTreeMap<String, Value>,
    accounts: Vec<ServiceAccount>,
    secrets: Vec<Secret>,
    missing_secrets: Vec<String>,
    ca_bundle: Option<ConfigMap>,
    /// The main Deployment that already runs.
    live: Option<Live>,
    server_minor: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Live {
    image: String,
    has_hub_tuning: bool,
}

impl Fixture {
    fn service(&self) -> Service {
        let object: LLMInferenceService = serde_json::from_value(self.service.clone()).unwrap();
        let settings = self.settings.iter().map(|(key, it)| (key.clone(), it.to_string())).collect();
        let settings = ClusterSettings::parse(&settings).unwrap();
        let spec = object.spec.clone();
        let facts = self.facts(&object, &settings);
        Service::new(&object, spec, Arc::new(Installation::default()), Arc::new(settings), facts)
    }

    fn facts(&self, service: &LLMInferenceService, settings: &ClusterSettings) -> Facts {
        let name = |it: &ServiceAccount| it.metadata.name.clone().unwrap();
        let accounts =
            self.accounts.iter().map(|it| (name(it), Some(it.clone()))).collect::<BTreeMap<_, _>>();
        let default = accounts.get("default").cloned().flatten();
        let missing = self.missing_secrets.iter().map(|it| (it.clone(), None));
        let secrets = self.secrets.iter().map(|it| (it.metadata.name.clone().unwrap(), Some(it.clone())));
        let ca_bundle = match settings.storage_initializer.ca_bundle_config_map_name.as_str() {
            "" => CaBundle::None,
            _ => CaBundle::from(self.ca_bundle.as_ref()),
        };
        Facts {
            apis: Apis::new([], self.server_minor),
            live: self.live.as_ref().map(|it| it.deployment(service)).unwrap_or_default(),
            accounts: AccountFacts::from_objects(default.as_ref(), &accounts),
            storage: StorageFacts::from_objects(&secrets.chain(missing).collect(), ca_bundle),
            ..Facts::default()
        }
    }
}

impl Live {
    fn deployment(&self, service: &LLMInferenceService) -> LiveChildren {
        let pod = LivePodTemplate {
            storage_initializer_image: Some(self.image.clone()),
            storage_initializer_has_hf_env: self.has_hub_tuning,
            ..LivePodTemplate::default()
        };
        let name = format!("{}-kserve", service.metadata.name.as_deref().unwrap());
        let child = LiveChild {
            kind: ChildKind::Deployment,
            namespace: service.metadata.namespace.clone(),
            name,
            uid: String::new(),
            owner_uid: None,
            service: String::new(),
            resource_version: String::new(),
            generation: 1,
            deleting: false,
            digest: 0,
            adoptable: false,
            detail: LiveDetail::Deployment(Box::new(LiveDeployment { pod, ..LiveDeployment::default() })),
        };
        LiveChildren { children: vec![child], pod_ips: Vec::new() }
    }
}

/// Everything that this part makes of a service.
fn outcome(service: &Service) -> Value {
    let mut pods = BTreeMap::new();
    for workload in Workload::all(service) {
        for (position, pod) in workload.pods() {
            let mut pod = pod.clone();
            attach(&workload, position, &mut pod);
            pods.insert(format!("{:?}/{position:?}", workload.role), pod);
        }
    }
    let scheduler = service.spec.router.as_ref().and_then(|it| it.scheduler.as_ref());
    if let Some(mut pod) = scheduler.and_then(|it| it.tokenizer.as_ref()).and_then(|it| it.template.clone()) {
        attach_tokenizer_model(service, &mut pod);
        pods.insert("Tokenizer".to_owned(), pod);
    }
    let errors = check(service).into_iter().chain(image_volume_gap(service));
    json!({
        "errors": errors.map(|it| format!("{}={}: {it}", it.condition, it.reason)).collect::<Vec<_>>(),
        "warnings": warnings(service).iter().map(|it| format!("{}: {}", it.reason, it.message)).collect::<Vec<_>>(),
        "children": render(service).iter().map(|it| json!({"owned": it.owned, "body": it.body})).collect::<Vec<_>>(),
        "pods": pods,
    })
}

#[test]
fn services_get_their_models() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/render/storage");
    insta::glob!("../../../../testdata/render/storage", "*.yaml", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let fixture: Fixture = serde_saphyr::from_str(&text).unwrap();
        let service = fixture.service();
        let result = outcome(&service);
        assert_eq!(result, outcome(&service), "rendering twice gives the same");
        insta::with_settings!({snapshot_path => &folder, prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_yaml_snapshot!("outcome", result);
        });
    });
}
