//! Small edits of pod specs for everything that adds to a user's pod. What the user wrote stays.

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec};

/// The container that serves the model.
pub const MAIN: &str = "main";
/// Environment variable whose words the presets append to the server's arguments.
const ADDITIONAL_ARGS: &str = "VLLM_ADDITIONAL_ARGS";

/// The container of this name.
pub fn container_mut<'a>(pod: &'a mut PodSpec, name: &str) -> Option<&'a mut Container> {
    pod.containers.iter_mut().find(|it| it.name == name)
}

/// The init container of this name.
#[must_use]
pub fn init_container<'a>(pod: &'a PodSpec, name: &str) -> Option<&'a Container> {
    pod.init_containers.iter().flatten().find(|it| it.name == name)
}

/// The init container of this name, to change.
pub fn init_container_mut<'a>(pod: &'a mut PodSpec, name: &str) -> Option<&'a mut Container> {
    pod.init_containers.iter_mut().flatten().find(|it| it.name == name)
}

/// A variable with a plain value.
#[must_use]
pub fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None }
}

/// Appends the variable unless the container sets one of that name.
pub fn set_variable_default(container: &mut Container, variable: EnvVar) {
    let env = container.env.get_or_insert_default();
    if !env.iter().any(|it| it.name == variable.name) {
        env.push(variable);
    }
}

/// Whether the container already gives its server the flag `flag`, as `--flag value` or `--flag=value`: in its
/// arguments, in its command, in a shell script among those, or in `VLLM_ADDITIONAL_ARGS`.
#[must_use]
pub fn mentions_flag(container: &Container, flag: &str) -> bool {
    let additional = container.env.iter().flatten().filter(|it| it.name == ADDITIONAL_ARGS);
    let texts = container.command.iter().chain(&container.args).flatten();
    texts
        .chain(additional.filter_map(|it| it.value.as_ref()))
        .flat_map(|it| it.split_whitespace())
        .any(|it| it == flag || it.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
}

/// Appends `flag` and its value as two arguments, unless the container mentions the flag already.
pub fn set_flag_default(container: &mut Container, flag: &str, value: &str) {
    if !mentions_flag(container, flag) {
        container.args.get_or_insert_default().extend([flag.to_owned(), value.to_owned()]);
    }
}
