//! A model in an image that runs beside the server: the server reaches the image's files through the process
//! namespace that both share.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, EmptyDirVolumeSource, PodSpec, ResourceRequirements, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{edit, initializer};
use crate::llmisvc::render::workload::pod;
use crate::settings::StorageInitializerSettings;

/// Runs before the server, so that the image is pulled and known to hold a model. `$$` is one dollar for the shell.
const CHECK: &str =
    r#"[ -n "$$(ls -A /models 2>/dev/null)" ] || { echo "the image has no files in /models" >&2; exit 1; }"#;

/// Serves the folder `/models` of the image `reference` at `path` of the container `server`.
pub(super) fn attach(
    settings: &StorageInitializerSettings,
    pod: &mut PodSpec,
    server: &str,
    reference: &str,
    path: &str,
) {
    edit::add_volume(
        pod,
        Volume {
            name: initializer::VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Volume::default()
        },
    );
    let mount = VolumeMount {
        name: initializer::VOLUME.to_owned(),
        mount_path: parent(path).to_owned(),
        ..VolumeMount::default()
    };
    if let Some(server) = pod::container_mut(pod, server) {
        edit::set_variable(server, pod::variable("MODEL_INIT_MODE", "async"));
        edit::add_mount(server, mount.clone());
        run_as(server, settings);
    }
    let mut modelcar = container(settings, "modelcar", reference, &link(path));
    modelcar.volume_mounts = Some(vec![mount]);
    run_as(&mut modelcar, settings);
    pod.containers.push(modelcar);
    let check = container(settings, "modelcar-init", reference, CHECK);
    pod.init_containers.get_or_insert_default().push(check);
    pod.share_process_namespace = Some(true);
}

/// The folder that a modelcar's volume is mounted at, for a model at `path`.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(parent, _)| parent)
}

/// Links the model's path to the files of this very process, which lives as long as the pod. `$$$$` is `$$`, the
/// process's number, for the shell.
fn link(path: &str) -> String {
    format!("ln -sfn /proc/$$$$/root/models {path} && exec sleep infinity")
}

fn container(settings: &StorageInitializerSettings, name: &str, image: &str, script: &str) -> Container {
    let amounts = BTreeMap::from([
        ("cpu".to_owned(), Quantity(settings.cpu_modelcar.clone())),
        ("memory".to_owned(), Quantity(settings.memory_modelcar.clone())),
    ]);
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        args: Some(["sh", "-c", script].map(str::to_owned).to_vec()),
        resources: Some(ResourceRequirements {
            requests: Some(amounts.clone()),
            limits: Some(amounts),
            claims: None,
        }),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// Both containers run as the same user, or the server may not look into the modelcar's process.
fn run_as(container: &mut Container, settings: &StorageInitializerSettings) {
    let Some(uid) = settings.uid_modelcar else { return };
    let context: &mut SecurityContext = container.security_context.get_or_insert_default();
    context.run_as_user = Some(uid);
    if uid == 0 {
        context.run_as_non_root = Some(false);
    }
}
