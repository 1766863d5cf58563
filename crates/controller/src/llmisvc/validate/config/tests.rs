use super::*;

const SYSTEM: &str = "kserve";

#[expect(clippy::needless_pass_by_value, reason = "literals read better at the call")]
fn config(namespace: &str, name: &str, spec: serde_json::Value) -> LLMInferenceServiceConfig {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": namespace}, "spec": spec})).unwrap()
}

fn check(spec: serde_json::Value) -> Verdict {
    validate_config(
        &config("team", "mine", spec),
        None,
        &Installation::default(),
        &ClusterSettings::default(),
    )
}

#[track_caller]
fn paths(verdict: &Verdict) -> Vec<&str> {
    verdict.errors.iter().map(|it| it.path.as_str()).collect()
}

#[test]
fn configs_do_not_build_on_each_other() {
    assert_eq!(check(json!({"replicas": 2})), Verdict::default());
    assert_eq!(paths(&check(json!({"baseRefs": [{"name": "other"}]}))), ["spec.baseRefs"]);
}

#[test]
fn the_scheduler_of_a_config_has_replicas() {
    assert!(check(json!({"router": {"scheduler": {"replicas": 1}}})).is_valid());
    assert_eq!(
        paths(&check(json!({"router": {"scheduler": {"replicas": 0}}}))),
        ["spec.router.scheduler.replicas"]
    );
}

#[test]
fn changing_a_preset_is_pointed_out() {
    let warnings = |name: &str, replicas: i32| {
        let old = config(SYSTEM, name, json!({"replicas": 1}));
        let new = config(SYSTEM, name, json!({"replicas": replicas}));
        validate_config(&new, Some(&old), &Installation::default(), &ClusterSettings::default())
            .warnings
            .len()
    };
    assert_eq!(warnings("kserve-config-llm-template", 2), 1);
    assert_eq!(warnings("kserve-config-llm-template", 1), 0);
    assert_eq!(warnings("config-llm-template", 2), 0);
    assert_eq!(warnings("mine", 2), 0);
}

#[test]
fn presets_of_the_installation_are_protected() {
    let delete = |namespace: &str, name: &str, protect: bool| {
        let verdict = validate_config_deletion(namespace, name, &Installation::default(), protect);
        (verdict.errors.len(), verdict.warnings.len())
    };
    let preset = "kserve-config-llm-scheduler";
    assert_eq!(delete(SYSTEM, preset, true), (1, 0));
    assert_eq!(delete(SYSTEM, preset, false), (0, 1));
    assert_eq!(delete("team", preset, true), (0, 0));
    assert_eq!(delete(SYSTEM, "kserve-config-mine", true), (0, 0));
}
