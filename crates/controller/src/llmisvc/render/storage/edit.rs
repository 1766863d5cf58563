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
pub(super) fn set_variable(container: &mut Container, variable: EnvVar) {
    let env = container.env.get_or_insert_default();
    match env.iter_mut().find(|it| it.name == variable.name) {
        Some(it) => *it = variable,
        None => env.push(variable),
    }
}

/// The plain value of a variable.
pub(super) fn value<'a>(container: &'a Container, name: &str) -> Option<&'a str> {
    container.env.iter().flatten().find(|it| it.name == name)?.value.as_deref()
}

/// Lets mount points be made below the mounts of `volume` where the containers mount something else there: below a
/// read-only mount the container runtime cannot make them.
pub(super) fn open_for_mounts(pod: &mut PodSpec, volume: &str) {
    for mounts in pod.containers.iter_mut().filter_map(|it| it.volume_mounts.as_mut()) {
        let paths: Vec<String> = mounts.iter().map(|it| it.mount_path.clone()).collect();
        for mount in mounts.iter_mut().filter(|it| it.name == volume) {
            let below = format!("{}/", mount.mount_path.trim_end_matches('/'));
            if paths.iter().any(|it| it.starts_with(&below)) {
                mount.read_only = None;
            }
        }
    }
}
