use std::sync::Arc;

use llmd_api::serving::v1alpha2::LLMInferenceService;
use serde_json::json;

use super::*;
use crate::llmisvc::facts::Facts;

fn service(spec: serde_json::Value) -> Service {
    let object: LLMInferenceService = serde_json::from_value(json!({
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "models"},
        "spec": spec,
    }))
    .unwrap();
    let spec = object.spec.clone();
    Service::new(&object, spec, Arc::default(), Arc::default(), Facts::default())
}

fn main_pod(service: &Service) -> PodSpec {
    let mut pod = service.spec.workload.template.clone().unwrap();
    attach(&Workload::main(service), PodPosition::Single, &mut pod);
    pod
}

fn with_model(uri: &str) -> Service {
    service(json!({"model": {"uri": uri}, "template": {"containers": [{"name": "main"}]}}))
}

#[test]
fn a_model_of_the_hub_is_downloaded_before_the_server_starts() {
    let pod = main_pod(&with_model("hf://Qwen/Qwen3-8B"));
    let init = &pod.init_containers.unwrap()[0];
    assert_eq!(init.name, "storage-initializer");
    assert_eq!(init.args.as_deref().unwrap(), ["hf://Qwen/Qwen3-8B", "/mnt/models"]);
    let mount = &pod.containers[0].volume_mounts.as_ref().unwrap()[0];
    assert_eq!((mount.mount_path.as_str(), mount.read_only), ("/mnt/models", Some(true)));
}

#[test]
fn a_model_in_a_claim_is_mounted_and_nothing_is_downloaded() {
    let pod = main_pod(&with_model("pvc://models/llama/v1"));
    assert_eq!(pod.init_containers, None);
    let mount = &pod.containers[0].volume_mounts.as_ref().unwrap()[0];
    assert_eq!(mount.sub_path.as_deref(), Some("llama/v1"));
    let volume = &pod.volumes.unwrap()[0];
    assert_eq!(volume.name, "kserve-pvc-source");
    assert_eq!(volume.persistent_volume_claim.as_ref().unwrap().claim_name, "models");
}
