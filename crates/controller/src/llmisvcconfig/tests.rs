use super::*;
use llmd_api::serving::status::{AppliedConfig, LLMInferenceServiceStatus};

fn service(manifest: &str) -> LLMInferenceService {
    let mut service: LLMInferenceService = serde_saphyr::from_str(manifest).unwrap();
    service.metadata.namespace = Some("team".to_owned());
    service
}

#[test]
fn a_config_is_used_by_those_that_applied_it() {
    let installation = Installation::default();
    let mut chat = service("{metadata: {name: chat}, spec: {baseRefs: [{name: base}]}}");
    let config = |namespace: &str| Key::new(namespace, "base");
    assert!(uses(&chat, &config("team"), &installation), "it will apply one of the two");
    assert!(uses(&chat, &config("kserve"), &installation));
    assert!(!uses(&chat, &config("other"), &installation));
    let applied =
        AppliedConfig { name: "base".to_owned(), namespace: "team".to_owned(), ..AppliedConfig::default() };
    chat.status = Some(LLMInferenceServiceStatus {
        applied_configs: vec![applied],
        ..LLMInferenceServiceStatus::default()
    });
    assert!(uses(&chat, &config("team"), &installation));
    assert!(!uses(&chat, &config("kserve"), &installation), "the namespace's own one won");
}

#[test]
fn the_status_says_who_uses_the_config_and_keeps_its_times() {
    let mut config: LLMInferenceServiceConfig =
        serde_saphyr::from_str("{metadata: {name: base}, spec: {}}").unwrap();
    let users =
        || BTreeSet::from([ServiceReference { name: "chat".to_owned(), namespace: "team".to_owned() }]);
    let first = status(&config, users(), false, "2026-01-01T00:00:00Z");
    assert_eq!(first.referenced_by.len(), 1);
    assert_eq!((first.conditions[0].reason.as_str(), first.conditions[0].status.as_str()), ("InUse", "True"));
    config.status = Some(first.clone());
    assert_eq!(status(&config, users(), false, "2026-02-02T00:00:00Z"), first);
    let blocked = status(&config, users(), true, "2026-02-02T00:00:00Z");
    assert_eq!(blocked.conditions[0].reason, "DeletionBlocked");
    assert_eq!(blocked.conditions[0].last_transition_time.as_deref(), Some("2026-02-02T00:00:00Z"));
    assert_eq!(blocked.conditions[1], first.conditions[1], "Ready did not change");
}

#[test]
fn an_annotation_lets_a_used_config_go() {
    let config = |value: &str| {
        let manifest = format!(
            "{{metadata: {{name: base, annotations: {{llmd.ai/allow-deletion: '{value}'}}}}, spec: {{}}}}"
        );
        serde_saphyr::from_str::<LLMInferenceServiceConfig>(&manifest).unwrap()
    };
    assert!(may_go(&config("true")));
    assert!(!may_go(&config("no")));
}
