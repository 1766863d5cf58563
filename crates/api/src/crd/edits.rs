//! Where a CRD of this stack must accept more than the types say.
//!
//! A service's pod template is only the part that differs from its presets, so nothing in it is required. A config
//! may hold template text in place of a name or a path, so below the embedded objects the rules for such texts are off.

use serde_json::{Map, Value};

use super::schema::for_each;

/// Pod templates of a spec, as paths of properties.
pub(super) const POD_TEMPLATES: [&str; 5] =
    ["template", "worker", "prefill.template", "prefill.worker", "router.scheduler.template"];
/// The tokenizer's pod template, which is given whole.
pub(super) const TOKENIZER: &str = "router.scheduler.tokenizer.template";
/// Embedded objects besides pod templates.
pub(super) const ROUTE: &str = "router.route.http.spec";
pub(super) const POOL: &str = "router.scheduler.pool.spec";

const TEXT_RULES: [&str; 5] =
    ["pattern", "x-kubernetes-validations", "minLength", "minItems", "minProperties"];

/// Makes the containers of partial pod templates optional.
pub(super) fn partial_templates(spec: &mut Value) {
    for path in POD_TEMPLATES {
        at(spec, path, |template| {
            template.remove("required");
        });
    }
}

/// Lets a config hold template text.
pub(super) fn template_text(spec: &mut Value) {
    for path in POD_TEMPLATES.into_iter().chain([TOKENIZER, ROUTE, POOL]) {
        if let Some(schema) = find(spec, path) {
            for_each(schema, &mut |keywords| TEXT_RULES.iter().for_each(|it| drop(keywords.remove(*it))));
        }
    }
}

/// Edits the schema of a property, when it is there.
pub(super) fn at(spec: &mut Value, path: &str, edit: impl FnOnce(&mut Map<String, Value>)) {
    if let Some(Value::Object(keywords)) = find(spec, path) {
        edit(keywords);
    }
}

fn find<'a>(spec: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(spec, |schema, name| schema.get_mut("properties")?.get_mut(name))
}
