//! Replicas and parallelism of a workload.

use llmd_api::serving::v1alpha2::{LLMInferenceServiceSpec, ParallelismSpec, WorkloadSpec};
use serde_json::json;

use super::{FieldError, Verdict, workloads};

/// `at` is the path of the workload: `spec` or `spec.prefill`.
pub(super) fn check(at: &str, workload: &WorkloadSpec, verdict: &mut Verdict) {
    verdict.at_least(0, format_args!("{at}.replicas"), workload.replicas);
    if let (Some(replicas), Some(_)) = (workload.replicas, &workload.scaling) {
        verdict.error(FieldError::invalid(
            format!("{at}.replicas"),
            replicas,
            format!("{at}.scaling sets the replicas: keep one of the two"),
        ));
    }
    if let Some(parallelism) = &workload.parallelism {
        check_parallelism(&format!("{at}.parallelism"), parallelism, verdict);
    }
    if workload.worker.is_some() {
        check_worker(at, workload.parallelism.as_ref(), verdict);
    }
}

fn check_parallelism(at: &str, parallelism: &ParallelismSpec, verdict: &mut Verdict) {
    let &ParallelismSpec { tensor, pipeline, data, data_local, data_rpc_port, expert: _ } = parallelism;
    for (field, value) in
        [("tensor", tensor), ("pipeline", pipeline), ("data", data), ("dataLocal", data_local)]
    {
        verdict.at_least(1, format_args!("{at}.{field}"), value);
    }
    if let Some(port) = data_rpc_port.filter(|it| !(1..=65_535).contains(it)) {
        verdict.error(FieldError::invalid(format!("{at}.dataRPCPort"), port, "use a port from 1 to 65535"));
    }
    match (data, data_local) {
        (Some(_), None) => verdict.error(FieldError::required(
            format!("{at}.dataLocal"),
            "data parallelism needs the ranks of each pod: set dataLocal, or remove data",
        )),
        (None, Some(_)) => verdict.error(FieldError::required(
            format!("{at}.data"),
            "data parallelism needs the ranks of all pods: set data, or remove dataLocal",
        )),
        (Some(data), Some(local)) if local > 0 && data > 0 && data % local != 0 => verdict.warn(format!(
            "{at}: data {data} is not a multiple of dataLocal {local}: a group has {} pods, with room for only {} \
             of the {data} ranks",
            (data / local).max(1),
            (data / local).max(1) * local,
        )),
        _ => {}
    }
    if let Some(pipeline) = pipeline.filter(|_| data.is_some() || data_local.is_some()) {
        verdict.error(FieldError::invalid(
            format!("{at}.pipeline"),
            pipeline,
            "pipeline and data parallelism cannot be combined: remove pipeline, or data and dataLocal",
        ));
    }
}

/// A worker makes groups of pods, whose size must follow from the parallelism.
fn check_worker(at: &str, parallelism: Option<&ParallelismSpec>, verdict: &mut Verdict) {
    match parallelism {
        None => verdict.error(FieldError::required(
            format!("{at}.parallelism"),
            "worker makes the workload multi-node: give pipeline, or data and dataLocal, or remove worker",
        )),
        Some(it) if it.pipeline.is_none() && it.data.is_none() && it.data_local.is_none() => {
            verdict.error(FieldError::invalid(
                format!("{at}.worker"),
                json!({"parallelism": it}),
                format!(
                    "the size of a multi-node group is unknown: give {at}.parallelism.pipeline, or data and \
                     dataLocal, or remove worker"
                ),
            ));
        }
        Some(_) => {}
    }
}

/// Fields without effect; only right when no config can add the rest.
pub(super) fn warn_of_ignored_fields(spec: &LLMInferenceServiceSpec, verdict: &mut Verdict) {
    for (at, workload) in workloads(spec) {
        let Some(parallelism) = workload.parallelism.as_ref().filter(|_| workload.worker.is_none()) else {
            continue;
        };
        if parallelism.is_data_parallel() {
            verdict.warn(format!(
                "{at}.parallelism.data and dataLocal have no effect without {at}.worker: the workload is single-node"
            ));
        }
        if parallelism.is_pipeline_parallel() {
            verdict.warn(format!(
                "{at}.parallelism.pipeline has no effect without {at}.worker: the workload is single-node"
            ));
        }
    }
}
