//! Where in a spec a value is, as far as merging cares: the pod templates have Kubernetes' merge rules, the rest
//! of the spec has none, and some objects are data of others.

use llmd_api::pod_merge;

/// Fields that hold a pod template.
const POD_TEMPLATES: &[&str] = &["template", "worker"];

/// Objects outside pod templates whose keys are data.
const MAPS: &[&str] = &["annotations", "labels", "matchLabels"];

/// Texts outside pod templates of which the empty one is a value.
const POINTER_TEXTS: &[&str] = &["exporter", "exporterEndpoint", "sampler", "samplerArg"];

/// Fields outside pod templates of which a valid object has at most one, by the field that holds the object. The
/// spec itself is in the field "".
const ONE_OFS: &[(&str, &str, &str)] = &[
    ("", "replicas", "scaling"),
    ("prefill", "replicas", "scaling"),
    ("scaling", "wva", "keda"),
    ("wva", "hpa", "keda"),
    ("http", "refs", "spec"),
    ("config", "inline", "ref"),
];

/// The rules that hold at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    /// Outside pod templates.
    Spec,
    /// In a pod template.
    Pod,
    /// In an object whose keys are data.
    Map,
    /// In a document of another program, which is taken as a whole.
    Foreign,
}

/// A field of the spec and the rules that hold for it. Items of a list are in the field of the list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    area: Area,
    parent: &'a str,
    field: &'a str,
}

impl<'a> Place<'a> {
    /// The whole spec of a service.
    pub(crate) const SPEC: Self = Self { area: Area::Spec, parent: "", field: "" };

    /// The place of a field of this object.
    pub(crate) fn child<'b>(self, field: &'b str) -> Place<'b>
    where
        'a: 'b,
    {
        let area = match self.area {
            Area::Spec if POD_TEMPLATES.contains(&field) => Area::Pod,
            Area::Spec if MAPS.contains(&field) => Area::Map,
            Area::Spec if (self.field, field) == ("config", "inline") => Area::Foreign,
            Area::Pod if pod_merge::is_map(field) => Area::Map,
            area => area,
        };
        Place { area, parent: self.field, field }
    }

    /// Whether a higher layer replaces a lower one here instead of being merged with it.
    pub(crate) fn is_atomic(self) -> bool {
        self.area == Area::Foreign
    }

    /// The field that tells items of this list apart; `None` = the list is replaced as a whole.
    pub(crate) fn merge_key(self) -> Option<&'static str> {
        (self.area == Area::Pod).then(|| pod_merge::merge_key(self.field)).flatten()
    }

    /// Whether an object here may have only one of the two fields.
    pub(crate) fn excludes(self, first: &str, second: &str) -> bool {
        match self.area {
            Area::Spec => ONE_OFS
                .iter()
                .any(|&(parent, a, b)| parent == self.field && [(a, b), (b, a)].contains(&(first, second))),
            Area::Pod => pod_merge::exclude_each_other(self.field, first, second),
            Area::Map | Area::Foreign => false,
        }
    }

    /// Whether the empty text means "not given".
    pub(crate) fn is_plain_text(self) -> bool {
        match self.area {
            Area::Spec => !POINTER_TEXTS.contains(&self.field),
            Area::Pod => pod_merge::is_plain_text(self.field),
            Area::Map | Area::Foreign => false,
        }
    }

    /// Whether `false` means "not given".
    pub(crate) fn is_plain_boolean(self) -> bool {
        match self.area {
            Area::Spec => self.field == "expert",
            Area::Pod => pod_merge::is_plain_boolean(self.parent, self.field),
            Area::Map | Area::Foreign => false,
        }
    }

    /// Whether `0` means "not given".
    pub(crate) fn is_plain_number(self) -> bool {
        self.area == Area::Pod && pod_merge::is_plain_number(self.field)
    }

    /// Whether this is in a pod template.
    pub(crate) fn is_pod(self) -> bool {
        self.area == Area::Pod
    }

    /// Whether this is an object whose keys are data.
    pub(crate) fn is_map(self) -> bool {
        self.area == Area::Map
    }
}
