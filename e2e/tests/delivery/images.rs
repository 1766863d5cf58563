//! Each image of llmd starts as clusters with strict rules run pods: as an ordinary user, without rights, with a
//! file system that it cannot write to.

use anyhow::{Result, ensure};

use crate::hello;
use crate::world::World;

const NAMESPACE: &str = "images";
/// Image and a word of its program's help.
const IMAGES: [(&str, &str); 6] = [
    ("llmd", "explain"),
    ("llmd-controller", "--leader-elect"),
    ("llmd-engine", "serve"),
    ("llmd-epp", "--pool-name"),
    ("llmd-sidecar", "--connector"),
    ("llmd-storage", "Usage"),
];

pub(crate) fn story(world: &World) -> Result<()> {
    for (name, _) in IMAGES {
        world.provide(name)?;
    }
    world.namespace(NAMESPACE)?;
    let label = "pod-security.kubernetes.io/enforce=restricted";
    world.kubectl().run(&["label", "namespace", NAMESPACE, label])?;
    for (name, _) in IMAGES {
        hello::apply(world, NAMESPACE, &pod(name, &world.image(name)))?;
    }
    for (name, word) in IMAGES {
        let object = format!("pod/{name}");
        let path = "{.status.phase}{.status.containerStatuses[0].state.waiting.reason}";
        let phase = world.eventually(&format!("{object} ends"), || {
            let phase = world.field(NAMESPACE, &[&object], path)?;
            let never_starts = ["Err", "BackOff"].iter().any(|it| phase.contains(it));
            let is_over = never_starts || ["Succeeded", "Failed"].contains(&phase.as_str());
            Ok(is_over.then_some(phase))
        })?;
        let log = world.kubectl().run(&["-n", NAMESPACE, "logs", name]).unwrap_or_default();
        ensure!(phase == "Succeeded" && log.contains(word), "{name}: {phase}, {word:?} is not in {log:?}");
    }
    Ok(())
}

/// A pod that shows the program's help.
fn pod(name: &str, image: &str) -> String {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name },
        "spec": {
            "restartPolicy": "Never",
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["--help"],
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": { "drop": ["ALL"] },
                },
            }],
        },
    })
    .to_string()
}
