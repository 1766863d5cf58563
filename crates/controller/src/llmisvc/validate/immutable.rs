//! What an update may not change: the number of pods in a group, which a LeaderWorkerSet keeps for life.

use llmd_api::serving::v1alpha2::{LLMInferenceServiceSpec, ParallelismSpec};

use super::{FieldError, Verdict};

pub(super) fn check(new: &LLMInferenceServiceSpec, old: &LLMInferenceServiceSpec, verdict: &mut Verdict) {
    check_size("spec", new.workload.parallelism.as_ref(), old.workload.parallelism.as_ref(), verdict);
    if let (Some(new), Some(old)) = (&new.prefill, &old.prefill) {
        check_size("spec.prefill", new.parallelism.as_ref(), old.parallelism.as_ref(), verdict);
    }
}

fn check_size(at: &str, new: Option<&ParallelismSpec>, old: Option<&ParallelismSpec>, verdict: &mut Verdict) {
    let size = |it: Option<&ParallelismSpec>| it.and_then(ParallelismSpec::size).unwrap_or(1);
    let (now, before) = (size(new), size(old));
    if now != before {
        verdict.error(FieldError::not_supported(
            format!("{at}.parallelism"),
            now,
            format!(
                "a group has {before} pods for the life of the service and this asks for {now}: keep the size, or \
                 create a second service and move the requests"
            ),
        ));
    }
}
