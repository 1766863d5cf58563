//! The live objects of every service, kept up to date by the watches and by what applying gets back.
//!
//! A record is replaced only by a newer one, so an event that left the API server before our own write does not undo
//! what the write returned. Resource versions of one kind are numbers that grow.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;
use parking_lot::RwLock;

use super::{LiveChild, LiveChildren};
use crate::children::ChildKind;
use crate::index::Key;

/// Deletions that are remembered: far more than there are writes in flight.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// Where an object is: kind, namespace (empty when cluster-scoped), name.
pub type Place = (ChildKind, String, String);

/// Live objects and pod addresses of all services.
#[derive(Debug, Default)]
pub struct LiveStore(RwLock<Records>);

#[derive(Debug)]
struct Records {
    children: HashMap<Place, (Key, Arc<LiveChild>)>,
    by_service: HashMap<Key, BTreeSet<Place>>,
    /// Places seen since the list of their kind began; present only while it is read.
    listing: HashMap<ChildKind, HashSet<Place>>,
    /// The versions at which the last objects went: what applying one of them returned may be heard of later.
    gone: LruCache<Place, u64>,
    pods: HashMap<Key, Pod>,
    pods_by_service: HashMap<Key, BTreeSet<Key>>,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            children: HashMap::new(),
            by_service: HashMap::new(),
            listing: HashMap::new(),
            gone: LruCache::new(REMEMBERED),
            pods: HashMap::new(),
            pods_by_service: HashMap::new(),
        }
    }
}

/// A pod's service and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    pub service: Key,
    pub addresses: Vec<IpAddr>,
}

fn place(child: &LiveChild) -> Place {
    (child.kind, child.namespace.clone().unwrap_or_default(), child.name.clone())
}

fn version(child: &LiveChild) -> u64 {
    child.resource_version.parse().unwrap_or(u64::MAX)
}

/// Whether two states of an object differ in what decisions are made of.
fn differs(a: &LiveChild, b: &LiveChild) -> bool {
    let LiveChild { kind: _, namespace: _, name: _, service, uid, owner_uid, resource_version: _, .. } = a;
    (service, uid, owner_uid) != (&b.service, &b.uid, &b.owner_uid)
        || (a.generation, a.deleting, a.digest, a.adoptable)
            != (b.generation, b.deleting, b.digest, b.adoptable)
        || a.detail != b.detail
}

impl LiveStore {
    /// Records the state of an object of `service`. Returns the services that have to look at it: none when the state
    /// is known or old, two when the object's label moved.
    pub fn observe(&self, service: Key, child: LiveChild) -> Vec<Key> {
        let mut records = self.0.write();
        let place = place(&child);
        if let Some(seen) = records.listing.get_mut(&child.kind) {
            seen.insert(place.clone());
        }
        let mut concerned = Vec::new();
        if records.gone.peek(&place).is_some_and(|&it| it > version(&child)) {
            return concerned;
        }
        if let Some((before_service, before)) = records.children.get(&place) {
            if version(before) > version(&child) {
                return concerned;
            }
            if *before_service != service {
                concerned.push(before_service.clone());
            } else if !differs(before, &child) {
                records.children.insert(place, (service, Arc::new(child)));
                return concerned;
            }
        }
        records.remove(&place);
        records.by_service.entry(service.clone()).or_default().insert(place.clone());
        records.children.insert(place, (service.clone(), Arc::new(child)));
        concerned.push(service);
        concerned
    }

    /// Forgets an object that went at `version`. Returns the service it belonged to.
    pub fn forget(&self, place: &Place, version: Option<&str>) -> Option<Key> {
        let mut records = self.0.write();
        if let Some(version) = version.and_then(|it| it.parse().ok()) {
            records.gone.put(place.clone(), version);
        }
        records.remove(place)
    }

    /// A list of all objects of `kind` begins.
    pub fn begin_list(&self, kind: ChildKind) {
        self.0.write().listing.insert(kind, HashSet::new());
    }

    /// The list is complete: what it did not name is gone. Returns the services that lost something.
    pub fn end_list(&self, kind: ChildKind) -> BTreeSet<Key> {
        let mut records = self.0.write();
        let seen = records.listing.remove(&kind).unwrap_or_default();
        records.remove_if(|place| place.0 == kind && !seen.contains(place))
    }

    /// The kind is no longer served: all its objects are gone. Returns the services that had some.
    pub fn drop_kind(&self, kind: ChildKind) -> BTreeSet<Key> {
        let mut records = self.0.write();
        records.listing.remove(&kind);
        records.remove_if(|place| place.0 == kind)
    }

    /// The object at `place`, whosever it is.
    #[must_use]
    pub fn at(&self, place: &Place) -> Option<Arc<LiveChild>> {
        self.0.read().children.get(place).map(|(_, it)| Arc::clone(it))
    }

    /// The objects of a service, by kind and name, and the addresses of its pods.
    #[must_use]
    pub fn of(&self, service: &Key) -> LiveChildren {
        let records = self.0.read();
        let places = records.by_service.get(service).into_iter().flatten();
        let children =
            places.filter_map(|it| records.children.get(it)).map(|(_, it)| (**it).clone()).collect();
        let pods = records.pods_by_service.get(service).into_iter().flatten();
        let mut pod_ips: Vec<_> =
            pods.filter_map(|it| records.pods.get(it)).flat_map(|it| it.addresses.clone()).collect();
        pod_ips.sort_unstable();
        pod_ips.dedup();
        LiveChildren { children, pod_ips }
    }

    /// Records a pod. Returns its service when its addresses are new.
    pub fn observe_pod(&self, name: Key, pod: Pod) -> Option<Key> {
        let mut records = self.0.write();
        if records.pods.get(&name) == Some(&pod) {
            return None;
        }
        records.remove_pod(&name);
        let service = pod.service.clone();
        records.pods_by_service.entry(service.clone()).or_default().insert(name.clone());
        records.pods.insert(name, pod);
        Some(service)
    }

    /// Forgets a pod.
    pub fn forget_pod(&self, name: &Key) {
        self.0.write().remove_pod(name);
    }

    /// Forgets the pods that `keep` does not name, after a complete list.
    pub fn retain_pods(&self, keep: &HashSet<Key>) {
        let mut records = self.0.write();
        let gone: Vec<_> = records.pods.keys().filter(|it| !keep.contains(it)).cloned().collect();
        gone.iter().for_each(|it| records.remove_pod(it));
    }
}

impl Records {
    fn remove(&mut self, place: &Place) -> Option<Key> {
        let (service, _) = self.children.remove(place)?;
        if let Some(places) = self.by_service.get_mut(&service) {
            places.remove(place);
            if places.is_empty() {
                self.by_service.remove(&service);
            }
        }
        Some(service)
    }

    fn remove_if(&mut self, gone: impl Fn(&Place) -> bool) -> BTreeSet<Key> {
        let places: Vec<_> = self.children.keys().filter(|it| gone(it)).cloned().collect();
        places.iter().filter_map(|it| self.remove(it)).collect()
    }

    fn remove_pod(&mut self, name: &Key) {
        let Some(pod) = self.pods.remove(name) else { return };
        if let Some(pods) = self.pods_by_service.get_mut(&pod.service) {
            pods.remove(name);
            if pods.is_empty() {
                self.pods_by_service.remove(&pod.service);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child(name: &str, version: u32, digest: u64) -> LiveChild {
        LiveChild {
            kind: ChildKind::Service,
            namespace: Some("team".to_owned()),
            name: name.to_owned(),
            uid: "uid".to_owned(),
            owner_uid: None,
            service: "chat".to_owned(),
            resource_version: version.to_string(),
            generation: 0,
            deleting: false,
            digest,
            adoptable: false,
            detail: super::super::LiveDetail::None,
        }
    }

    fn chat() -> Key {
        Key::new("team", "chat")
    }

    #[test]
    fn older_states_and_repetitions_concern_nobody() {
        let store = LiveStore::default();
        assert_eq!(store.observe(chat(), child("a", 5, 1)), [chat()]);
        assert!(store.observe(chat(), child("a", 4, 9)).is_empty());
        assert!(store.observe(chat(), child("a", 6, 1)).is_empty());
        assert_eq!(store.of(&chat()).children[0].resource_version, "6");
        assert_eq!(store.observe(chat(), child("a", 7, 2)), [chat()]);
    }

    #[test]
    fn a_deletion_that_is_heard_of_before_the_answer_to_a_write_counts() {
        let store = LiveStore::default();
        let place = (ChildKind::Service, "team".to_owned(), "a".to_owned());
        store.observe(chat(), child("a", 5, 1));
        assert_eq!(store.forget(&place, Some("7")), Some(chat()));
        assert!(store.observe(chat(), child("a", 6, 1)).is_empty());
        assert!(store.of(&chat()).children.is_empty());
        assert_eq!(store.observe(chat(), child("a", 8, 1)), [chat()]);
    }

    #[test]
    fn an_object_whose_label_moves_concerns_both_services() {
        let store = LiveStore::default();
        store.observe(chat(), child("a", 5, 1));
        let other = Key::new("team", "other");
        assert_eq!(store.observe(other.clone(), child("a", 6, 1)), [chat(), other.clone()]);
        assert!(store.of(&chat()).children.is_empty());
        assert_eq!(store.of(&other).children.len(), 1);
    }

    #[test]
    fn a_complete_list_ends_what_it_does_not_name_but_not_what_was_applied_meanwhile() {
        let store = LiveStore::default();
        store.observe(chat(), child("gone", 1, 1));
        store.observe(chat(), child("listed", 2, 1));
        store.begin_list(ChildKind::Service);
        store.observe(chat(), child("listed", 2, 1));
        store.observe(chat(), child("applied", 3, 1));
        assert_eq!(store.end_list(ChildKind::Service), BTreeSet::from([chat()]));
        let names: Vec<_> = store.of(&chat()).children.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["applied", "listed"]);
    }

    #[test]
    fn pods_concern_their_service_when_their_addresses_change() {
        let store = LiveStore::default();
        let pod = |ip: &str| Pod { service: chat(), addresses: vec![ip.parse().unwrap()] };
        let name = Key::new("team", "chat-0");
        assert_eq!(store.observe_pod(name.clone(), pod("10.0.0.1")), Some(chat()));
        assert_eq!(store.observe_pod(name.clone(), pod("10.0.0.1")), None);
        assert_eq!(store.observe_pod(name, pod("10.0.0.2")), Some(chat()));
        assert_eq!(store.of(&chat()).pod_ips, ["10.0.0.2".parse::<IpAddr>().unwrap()]);
        store.retain_pods(&HashSet::new());
        assert!(store.of(&chat()).pod_ips.is_empty());
    }
}
