//! Why accounts have rights that a run has not used.

/// A part of the account's name, a part of the right, and the reason.
type Reason = (&'static str, &'static str, &'static str);

const CONTROLLER: &str = "llmd-controller";
/// Endpoint picker of a service.
const PICKER: &str = "-epp-sa";
/// Pods with a sidecar.
const SIDECAR: &str = "-kserve";
/// Endpoint picker of the chart.
const ROUTER: &str = "router-epp";

const APPLY: &str = "an apply that makes an object needs the right to create, and is logged as a patch";
const REMOVE: &str = "what services no longer want goes; it is there until then";
const ADOPT: &str = "an object that somebody else may own is looked at first";
const OTHER_SERVICES: &str = "services that ask for such objects";
const GIVEN_ON: &str = "nobody can give an account what he may not do himself";
const LLM_D: &str = "KServe's role: the service may name an image of llm-d's, which reads so";
const FIRST_VERSION: &str = "clusters with the first version of the inference extension";
const METRICS: &str = "readers of metrics with a token";

const REASONS: [Reason; 66] = [
    (CONTROLLER, "create clusterrolebindings.", APPLY),
    (CONTROLLER, "create configmaps.", APPLY),
    (CONTROLLER, "create deployments.", APPLY),
    (CONTROLLER, "create inferencepools.", APPLY),
    (CONTROLLER, "create rolebindings.", APPLY),
    (CONTROLLER, "create roles.", APPLY),
    (CONTROLLER, "create secrets.", APPLY),
    (CONTROLLER, "create serviceaccounts.", APPLY),
    (CONTROLLER, "create services.", APPLY),
    (CONTROLLER, "create subjectaccessreviews.", METRICS),
    (CONTROLLER, "create tokenreviews.", METRICS),
    (CONTROLLER, "delete clusterrolebindings.", REMOVE),
    (CONTROLLER, "delete configmaps.", REMOVE),
    (CONTROLLER, "delete deployments.", REMOVE),
    (CONTROLLER, "delete inferencepools.", REMOVE),
    (CONTROLLER, "delete rolebindings.", REMOVE),
    (CONTROLLER, "delete roles.", REMOVE),
    (CONTROLLER, "delete secrets.", REMOVE),
    (CONTROLLER, "delete serviceaccounts.", REMOVE),
    (CONTROLLER, "delete services.", REMOVE),
    (CONTROLLER, "get configmaps.", ADOPT),
    (CONTROLLER, "get clusterrolebindings.", ADOPT),
    (CONTROLLER, "get deployments.", ADOPT),
    (CONTROLLER, "get inferencepools.", ADOPT),
    (CONTROLLER, "get rolebindings.", ADOPT),
    (CONTROLLER, "get roles.", ADOPT),
    (CONTROLLER, "get services.", ADOPT),
    (CONTROLLER, "get serviceaccounts.", ADOPT),
    (CONTROLLER, "get llminferenceservice", "a version that is newer than the watch's"),
    (CONTROLLER, "get pods.", "the same verbs for all that is only looked at"),
    (CONTROLLER, "get customresourcedefinitions.", "the same verbs for all that is only looked at"),
    (CONTROLLER, ".leaderworkerset.x-k8s.io", OTHER_SERVICES),
    (CONTROLLER, ".keda.sh", OTHER_SERVICES),
    (CONTROLLER, "horizontalpodautoscalers.", OTHER_SERVICES),
    (CONTROLLER, ".monitoring.coreos.com", OTHER_SERVICES),
    (CONTROLLER, ".resource.k8s.io", OTHER_SERVICES),
    (CONTROLLER, ".gateway.networking.k8s.io", OTHER_SERVICES),
    (CONTROLLER, "localmodel", OTHER_SERVICES),
    (CONTROLLER, "patch configmaps.", OTHER_SERVICES),
    (CONTROLLER, "inferencepools.inference.networking.x-k8s.io", FIRST_VERSION),
    (CONTROLLER, "patch customresourcedefinitions/status.", "versions in which nothing is stored any more"),
    (CONTROLLER, "update secrets.", "an authority that is about to expire is renewed"),
    (CONTROLLER, "/finalizers.", "API servers that ask whether an owner may be named"),
    (CONTROLLER, "variantautoscalings.", "what earlier releases left is removed"),
    (CONTROLLER, "inferencemodel", GIVEN_ON),
    (CONTROLLER, "inferenceobjectives.", GIVEN_ON),
    (CONTROLLER, "inferencepoolimports.", GIVEN_ON),
    (CONTROLLER, "endpointslices.", GIVEN_ON),
    (CONTROLLER, "leases.", GIVEN_ON),
    (PICKER, "get inferencemodelrewrites.llm-d.ai", LLM_D),
    (PICKER, "get inferenceobjectives.llm-d.ai", LLM_D),
    (PICKER, "get inferencepools.", LLM_D),
    (PICKER, "get pods.", LLM_D),
    (PICKER, "endpointslices.", LLM_D),
    (PICKER, "inferencemodels.", LLM_D),
    (PICKER, "inferencepoolimports.", LLM_D),
    (PICKER, "inferenceobjectives.inference.networking.k8s.io", LLM_D),
    (PICKER, "leases.", LLM_D),
    (PICKER, ".inference.networking.x-k8s.io", FIRST_VERSION),
    (PICKER, "reviews.", METRICS),
    (SIDECAR, "get inferencepools.", LLM_D),
    (SIDECAR, "get pods.", LLM_D),
    (SIDECAR, ".inference.networking.x-k8s.io", FIRST_VERSION),
    (ROUTER, ".inference.networking.x-k8s.io", FIRST_VERSION),
    (ROUTER, "reviews.", METRICS),
    (ROUTER, "leases.", "the first replica of all makes the lease, and renews it after some seconds"),
];

/// Why `account` has `right` though nothing has used it.
pub(super) fn of(account: &str, right: &str) -> Option<&'static str> {
    let fits = |(who, what, _): &&Reason| account.contains(who) && right.contains(what);
    REASONS.iter().find(fits).map(|(.., why)| *why)
}
