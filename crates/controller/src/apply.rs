//! Bringing a service's objects into the cluster: server-side apply in order, then the removal of what is no longer
//! wanted.
//!
//! An object is written only when its wanted state changed, or when somebody took a field away that this controller
//! applied; so a reconcile that finds everything in place writes nothing. Objects that another controller owns are
//! refused. Not here: what is wanted (`llmisvc::render`), and how a failure is reported (`llmisvc::status`).

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource};
use llmd_api::serving::v1alpha2::LLMInferenceService;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::children::{Child, ChildKind};
use crate::context::Context;
use crate::index::Key;
use crate::live::convert::{hash_json, live_child};
use crate::live::{LiveChild, LiveChildren};

pub mod adopt;
pub mod error;
pub mod prune;

pub use error::ApplyError;

/// The field manager of everything this controller applies.
pub const FIELD_MANAGER: &str = "llmd-controller";

/// What one reconcile wrote.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Objects that were created.
    pub created: Vec<(ChildKind, String)>,
    /// Objects that were changed.
    pub updated: Vec<(ChildKind, String)>,
    /// Objects that were deleted.
    pub deleted: Vec<(ChildKind, String)>,
    pub failures: Vec<ApplyError>,
}

/// What was applied last, by service: how often is answered from memory instead of the API server.
#[derive(Debug, Default)]
pub struct Applied {
    records: Mutex<HashMap<Key, Records>>,
    /// The effective specs that the API server accepted.
    accepted: Mutex<HashMap<Key, u64>>,
}

/// The objects of one service.
type Records = BTreeMap<(ChildKind, String), Record>;

/// The last apply of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    /// Of the body that was sent.
    wanted: u64,
    /// Of what came back; `None` when the object carries no label of the service, so that no watch sees it.
    live: Option<LiveDigest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct LiveDigest {
    uid: String,
    fields: u64,
}

impl Applied {
    fn get(&self, service: &Key, kind: ChildKind, name: &str) -> Option<Record> {
        self.records.lock().get(service)?.get(&(kind, name.to_owned())).cloned()
    }

    fn set(&self, service: &Key, kind: ChildKind, name: &str, record: Option<Record>) {
        let mut records = self.records.lock();
        let of_service = records.entry(service.clone()).or_default();
        let place = (kind, name.to_owned());
        match record {
            Some(record) => drop(of_service.insert(place, record)),
            None => drop(of_service.remove(&place)),
        }
    }

    /// Forgets a service that is gone.
    pub fn forget(&self, service: &Key) {
        self.records.lock().remove(service);
        self.accepted.lock().remove(service);
    }

    /// Forgets everything, so that each object is applied again: another process may have been at work.
    pub fn clear(&self) {
        self.records.lock().clear();
        self.accepted.lock().clear();
    }

    /// Remembers that the API server accepted the effective spec with this digest.
    pub fn accept(&self, service: &Key, digest: u64) {
        self.accepted.lock().insert(service.clone(), digest);
    }

    /// Whether the API server accepted the effective spec with this digest.
    pub fn is_accepted(&self, service: &Key, digest: u64) -> bool {
        self.accepted.lock().get(service) == Some(&digest)
    }
}

/// Applies `children` in order and removes the service's other objects. Failures do not stop the rest, except that
/// nothing is removed after one: what is to be replaced goes only when its replacement is there.
pub async fn apply(
    context: &Context,
    service: &LLMInferenceService,
    live: &LiveChildren,
    children: &[Child],
) -> Outcome {
    let mut outcome = apply_only(context, service, live, children).await;
    if outcome.failures.is_empty() {
        prune::prune(context, &Owner::of(service), live, children, &mut outcome).await;
    }
    outcome
}

/// Applies `children` in order and removes nothing.
pub async fn apply_only(
    context: &Context,
    service: &LLMInferenceService,
    live: &LiveChildren,
    children: &[Child],
) -> Outcome {
    let mut outcome = Outcome::default();
    let owner = Owner::of(service);
    for child in children {
        match apply_one(context, &owner, live, child).await {
            Ok(Change::None) => {}
            Ok(Change::Created) => outcome.created.push((child.kind, child.name.clone())),
            Ok(Change::Updated) => outcome.updated.push((child.kind, child.name.clone())),
            Err(error) => outcome.failures.push(error),
        }
        if outcome.failures.last().is_some_and(ApplyError::is_namespace_terminating) {
            break;
        }
    }
    outcome
}

/// The service as the owner of its objects.
#[derive(Debug)]
pub struct Owner {
    pub key: Key,
    pub uid: String,
    reference: OwnerReference,
}

impl Owner {
    /// The service `object` as an owner.
    #[must_use]
    pub fn of(object: &LLMInferenceService) -> Self {
        let metadata = object.meta();
        let uid = metadata.uid.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        Self {
            reference: OwnerReference {
                api_version: LLMInferenceService::api_version(&()).into_owned(),
                kind: LLMInferenceService::kind(&()).into_owned(),
                name: name.clone(),
                uid: uid.clone(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            },
            key: Key::new(metadata.namespace.clone().unwrap_or_default(), name),
            uid,
        }
    }
}

enum Change {
    None,
    Created,
    Updated,
}

async fn apply_one(
    context: &Context,
    owner: &Owner,
    live: &LiveChildren,
    child: &Child,
) -> Result<Change, ApplyError> {
    if !context.caches.apis.load().serve(child.kind) {
        return Err(ApplyError::NotServed { kind: child.kind, name: child.name.clone() });
    }
    let known = live.get(child.kind, &child.name);
    let body = body_of(child, owner);
    let wanted = digest(&body);
    let record = context.applied.get(&owner.key, child.kind, &child.name);
    if record.as_ref().is_some_and(|it| it.wanted == wanted && it.holds(known)) {
        return Ok(Change::None);
    }
    let before = before_apply(&context.client, owner, child, known).await?;
    let api = api_of(context.client.clone(), child.kind, child.namespace.as_deref());
    let object = send(&api, child, &body).await.map_err(|source| ApplyError::of(child, "apply", source))?;
    let change = match before {
        None => Change::Created,
        Some(version) if Some(&version) == object.metadata.resource_version.as_ref() => Change::None,
        Some(_) => Change::Updated,
    };
    let seen = live_child(child.kind, object).filter(|(service, _)| *service == owner.key);
    let live = seen.as_ref().map(|(_, it)| LiveDigest { uid: it.uid.clone(), fields: it.digest });
    context.applied.set(&owner.key, child.kind, &child.name, Some(Record { wanted, live }));
    if let Some((service, child)) = seen {
        context.caches.live.observe(service, child);
    }
    Ok(change)
}

/// Applies the object. A Service is tried twice, because of what an edit of its ports leaves behind.
async fn send(api: &Api<DynamicObject>, child: &Child, body: &Value) -> kube::Result<DynamicObject> {
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch(&child.name, &params, &Patch::Apply(body)).await {
        Err(kube::Error::Api(status)) if status.code == 422 && child.kind == ChildKind::Service => {
            if !take_ports(api, &child.name).await? {
                return Err(kube::Error::Api(status));
            }
            api.patch(&child.name, &params, &Patch::Apply(body)).await
        }
        other => other,
    }
}

/// Takes the ports that others set into this controller's fields; false when there are none.
async fn take_ports(api: &Api<DynamicObject>, name: &str) -> kube::Result<bool> {
    let Some(found) = api.get_metadata_opt(name).await? else { return Ok(false) };
    let metadata = found.metadata;
    let Some(taken) = adopt::take_ports(metadata.managed_fields.unwrap_or_default()) else {
        return Ok(false);
    };
    let taken = json!({"metadata": { "resourceVersion": metadata.resource_version, "managedFields": taken }});
    api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(taken)).await.map(|_| true)
}

impl Record {
    /// Whether the object is as it was left.
    fn holds(&self, known: Option<&LiveChild>) -> bool {
        self.live
            .as_ref()
            .is_none_or(|live| known.is_some_and(|it| it.uid == live.uid && it.digest == live.fields))
    }
}

/// The object to send: the rendered one with its owner.
fn body_of(child: &Child, owner: &Owner) -> Value {
    let mut body = child.body.clone();
    if child.owned {
        body["metadata"]["ownerReferences"] = json!([owner.reference]);
    }
    body
}

fn digest(body: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash_json(body, &mut hasher);
    hasher.finish()
}

/// Clients of one kind in one namespace.
#[must_use]
pub fn api_of(client: Client, kind: ChildKind, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &kind.api_resource()),
        None => Api::all_with(client, &kind.api_resource()),
    }
}

/// Makes sure that the object may be applied: nobody else controls it, and what KServe's controller wrote has been
/// taken over. Returns its resource version, or `None` when it does not exist.
///
/// The API server is asked only about objects that no watch has seen and about those to be taken over.
async fn before_apply(
    client: &Client,
    owner: &Owner,
    child: &Child,
    known: Option<&LiveChild>,
) -> Result<Option<String>, ApplyError> {
    if let Some(known) = known.filter(|it| !it.adoptable) {
        refuse_foreign(owner, child, known.owner_uid.as_deref())?;
        return Ok(Some(known.resource_version.clone()));
    }
    let api = api_of(client.clone(), child.kind, child.namespace.as_deref());
    let found = api.get_metadata_opt(&child.name).await;
    let Some(found) = found.map_err(|source| ApplyError::of(child, "read", source))? else { return Ok(None) };
    let metadata = found.metadata;
    let controller = metadata.owner_references.into_iter().flatten().find(|it| it.controller == Some(true));
    refuse_foreign(owner, child, controller.as_ref().map(|it| it.uid.as_str()))?;
    let managed = metadata.managed_fields.unwrap_or_default();
    if adopt::is_needed(&managed) {
        let taken = json!({"metadata": {
            "resourceVersion": metadata.resource_version,
            "managedFields": adopt::take_over(managed),
        }});
        let patched = api.patch_metadata(&child.name, &PatchParams::default(), &Patch::Merge(taken)).await;
        let patched = patched.map_err(|source| ApplyError::of(child, "take over", source))?;
        return Ok(patched.metadata.resource_version);
    }
    Ok(metadata.resource_version)
}

/// An owned object must be controlled by this service.
fn refuse_foreign(owner: &Owner, child: &Child, controller: Option<&str>) -> Result<(), ApplyError> {
    let is_ours = !child.owned || controller == Some(owner.uid.as_str());
    is_ours.then_some(()).ok_or_else(|| ApplyError::NotControlled {
        kind: child.kind,
        name: child.name.clone(),
        service: owner.key.clone(),
    })
}
