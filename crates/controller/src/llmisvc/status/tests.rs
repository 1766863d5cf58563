use std::path::Path;

use llmd_api::serving::status::ConfigSource;

use super::testing::{self, Cluster};
use super::*;
use crate::llmisvc::render::router::check::check;

const NOW: &str = "2026-01-02T03:04:05Z";

/// The status of the first service of the file, from nothing.
fn first_status(cluster: &Cluster, errors: &[SectionError]) -> LLMInferenceServiceStatus {
    let progress = Progress { generation: 7, errors, ..Progress::default() };
    status(&cluster.service(), &progress, &LLMInferenceServiceStatus::default(), NOW)
}

fn fixture(name: &str) -> Cluster {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/status/{name}.yaml"));
    Cluster::parse(&std::fs::read_to_string(path).unwrap())
}

fn condition<'a>(status: &'a LLMInferenceServiceStatus, type_: &str) -> &'a Condition {
    status.conditions.iter().find(|it| it.type_ == type_).unwrap_or_else(|| panic!("{type_} is set"))
}

#[test]
fn the_status_of_every_fixture() {
    testing::assert_snapshots("status", |cluster| first_status(cluster, &check(&cluster.service())));
}

#[test]
fn a_second_status_without_a_change_is_the_same() {
    for name in ["single-node", "scheduler", "stopped", "group"] {
        let cluster = fixture(name);
        let first = first_status(&cluster, &[]);
        let progress = Progress { generation: 7, ..Progress::default() };
        assert_eq!(first, status(&cluster.service(), &progress, &first, "2030-01-01T00:00:00Z"), "{name}");
    }
}

#[test]
fn an_error_of_a_section_takes_over_its_condition_and_ready() {
    let errors = [
        SectionError::new(types::MAIN_WORKLOAD_READY, "ReconcileSingleNodeWorkloadError", "first".to_owned()),
        SectionError::new(types::MAIN_WORKLOAD_READY, "ReconcileCertsError", "second".to_owned()),
    ];
    let actual = first_status(&fixture("single-node"), &errors);
    for type_ in [types::MAIN_WORKLOAD_READY, types::WORKLOADS_READY, types::READY] {
        let it = condition(&actual, type_);
        assert_eq!((it.status.as_str(), it.message.as_str()), ("False", "first"), "{type_}");
    }
}

#[test]
fn an_uncertain_validation_leaves_ready_unknown() {
    let error = SectionError::new(types::PRESETS_COMBINED, "ValidationUnavailable", "later".to_owned());
    let actual = first_status(&fixture("single-node"), &[error.unknown()]);
    assert_eq!(condition(&actual, types::READY).status, "Unknown");
    assert_eq!(condition(&actual, types::READY).reason, "ValidationUnavailable");
}

#[test]
fn stopping_clears_every_url_and_reference() {
    let previous = LLMInferenceServiceStatus {
        url: Some("http://example.com/".to_owned()),
        replicas: Some(3),
        ..first_status(&fixture("scheduler"), &[])
    };
    let stopped = fixture("stopped");
    let actual = status(&stopped.service(), &Progress::default(), &previous, NOW);
    assert_eq!((actual.url, actual.addresses, actual.router), (None, Vec::new(), None));
    assert_eq!((actual.workloads, actual.replicas, actual.selector), (None, None, None));
}

#[test]
fn configs_that_do_not_combine_are_a_warning_while_stopped() {
    let error = SectionError::new(types::PRESETS_COMBINED, "ConfigNotFound", "no such config".to_owned());
    let actual = first_status(&fixture("stopped"), &[error]);
    let presets = condition(&actual, types::PRESETS_COMBINED);
    assert_eq!(presets.reason, "Stopped");
    assert_eq!(presets.message, "Service is stopped with warning: no such config");
}

#[test]
fn when_configs_do_not_combine_everything_else_stays() {
    let previous = first_status(&fixture("scheduler"), &[]);
    let error = SectionError::new(types::PRESETS_COMBINED, "ConfigNotFound", "no such config".to_owned());
    let actual = cut_short(8, &error, &previous, NOW);
    assert_eq!(actual.observed_generation, Some(8));
    assert_eq!((&actual.url, &actual.addresses), (&previous.url, &previous.addresses));
    assert_eq!(condition(&actual, types::READY).reason, "ConfigNotFound");
    assert_eq!(condition(&actual, types::ROUTER_READY), condition(&previous, types::ROUTER_READY));
}

#[test]
fn a_deleted_member_says_whom_it_waits_for() {
    let previous = first_status(&fixture("group"), &[]);
    let actual = awaiting_group(7, &["canary".to_owned()], &previous, NOW);
    let group = condition(&actual, types::GROUP_READY);
    assert_eq!((group.status.as_str(), group.reason.as_str()), ("False", "FinalizationPending"));
    assert!(group.message.contains("canary"), "{}", group.message);
    assert_eq!(condition(&actual, types::READY), condition(&previous, types::READY));
}

#[test]
fn pins_are_kept_and_applied_configs_replaced() {
    let pin = |name: &str| BTreeMap::from([(format!("serving.kserve.io/{name}"), format!("kserve-{name}"))]);
    let config = |name: &str| AppliedConfig {
        name: name.to_owned(),
        namespace: "kserve".to_owned(),
        source: ConfigSource::Preset,
    };
    let previous = LLMInferenceServiceStatus {
        annotations: pin("old"),
        applied_configs: vec![config("old")],
        ..LLMInferenceServiceStatus::default()
    };
    let (pins, applied) = (pin("new"), [config("new")]);
    let progress = Progress { pins: Some(&pins), applied: &applied, ..Progress::default() };
    let actual = status(&fixture("single-node").service(), &progress, &previous, NOW);
    assert_eq!(actual.annotations.len(), 2);
    assert_eq!(actual.applied_configs, applied);
}
