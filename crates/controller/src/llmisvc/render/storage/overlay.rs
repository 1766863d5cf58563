//! The user's own `storage-initializer` container, laid over the generated one by Kubernetes' strategic merge. What
//! is downloaded, and where to, stays the controller's: name, arguments and command of the overlay are ignored.

use k8s_openapi::api::core::v1::Container;

use crate::llmisvc::combine::document::Node;
use crate::llmisvc::combine::place::Place;
use crate::llmisvc::combine::strategic_merge;

/// `base` with everything that `overlay` sets besides name, arguments and command.
pub(super) fn merge(base: &Container, overlay: Container) -> Container {
    let overlay = Container { name: base.name.clone(), args: None, command: None, ..overlay };
    let node = |it: &Container, layer| {
        Node::new(serde_json::to_value(it).expect("Kubernetes objects are JSON"), layer)
    };
    let mut merged = node(base, 0);
    let container = Place::SPEC.child("template").child("initContainers");
    strategic_merge::merge(&mut merged, node(&overlay, 1), container);
    serde_json::from_value(merged.to_value()).expect("a container merged with a container is one")
}
