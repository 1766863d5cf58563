//! Small edits of a pod that never disturb what the user wrote.

use k8s_openapi::api::core::v1::{Container, EnvVar, PodSpec, Volume, VolumeMount};

/// Takes the init container of this name out of the pod.
pub(super) fn take_init_container(pod: &mut PodSpec, name: &str) -> Option<Container> {
    let containers = pod.init_containers.as_mut()?;
    let idx = containers.iter().position(|it| it.name == name)?;
    let taken = containers.remove(idx);
    if containers.is_empty() {
        pod.init_containers = None;
    }
    Some(taken)
}

/// Adds a volume unless the pod has one of this name.
pub(super) fn add_volume(pod: &mut PodSpec, volume: Volume) {
    let volumes = pod.volumes.get_or_insert_default();
    if volumes.iter().all(|it| it.name != volume.name) {
        volumes.push(volume);
    }
}

/// Adds a mount unless something is mounted there already.
pub(super) fn add_mount(container: &mut Container, mount: VolumeMount) {
    let mounts = container.volume_mounts.get_or_insert_default();
    if mounts.iter().all(|it| it.mount_path != mount.mount_path) {
        mounts.push(mount);
    }
}

/// Adds a variable or replaces the one of its name.
pub(super) fn set_env(container: &mut Container, variable: EnvVar) {
    let env = container.env.get_or_insert_default();
    match env.iter_mut().find(|it| it.name == variable.name) {
        Some(it) => *it = variable,
        None => env.push(variable),
    }
}
