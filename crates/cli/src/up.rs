//! `llmd up`: from what was typed to a running stack, and back to nothing.
//!
//! Everything that can be refused is refused before the first process starts.

pub mod envoy;
pub mod epp_config;
pub mod health;
pub mod keeper;
pub mod lifecycle;
pub mod log_file;
pub mod model;
pub mod plan;
pub mod ports;
pub mod process;
pub mod service;
pub mod supervisor;
pub mod view;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::args::{Environment, GatewayArg, ManifestArgs, UpArgs};
use crate::manifest;
use crate::state::dir::{self, StateDir};
use crate::state::{Gateway, GatewayKind, Stack, StackState, VERSION};
use crate::up::plan::{Files, Programs, Wish};
use crate::up::ports::{FreePorts, Ports};
use crate::up::service::{EngineFlags, LocalService, LocalWorkload};
use crate::up::supervisor::Supervisor;
use crate::up::view::{Usage, View};

/// Namespace of a manifest that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// Why there is no stack.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder cannot be used.
    #[error(transparent)]
    Dir(#[from] dir::Error),
    /// No such model.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The manifest of `-f` cannot be used.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The service of `-f` cannot be a local stack.
    #[error(transparent)]
    Service(#[from] service::Error),
    /// No such port.
    #[error(transparent)]
    Ports(#[from] ports::Error),
    /// No Envoy.
    #[error(transparent)]
    Envoy(#[from] envoy::Error),
    /// The stack did not come up.
    #[error(transparent)]
    Supervisor(#[from] supervisor::Error),
    /// The system does not say where this program is.
    #[error("cannot find the llmd binary's own folder")]
    Itself(#[source] io::Error),
    /// A program of the stack was not built or installed.
    #[error("{} is missing: build it with `cargo build --release --bins`", .0.display())]
    NoProgram(PathBuf),
}

/// Brings a stack up and keeps it until a signal. Must run on the main thread of a current-thread runtime.
///
/// # Errors
/// See [`Error`]; no process is left when it returns.
pub async fn run(args: UpArgs, environment: &Environment) -> Result<(), Error> {
    let service = local_service(&args)?;
    let UpArgs { model, port, gateway, dir, .. } = args;
    let gateway = match gateway {
        GatewayArg::Native => GatewayKind::Native,
        GatewayArg::Envoy => GatewayKind::Envoy,
    };
    let this_program = std::env::current_exe().map_err(Error::Itself)?;
    let working_dir = std::env::current_dir().ok();
    let usage = Usage::new(&this_program, &environment.path, working_dir.as_deref(), dir.dir.as_deref());
    let near: Vec<PathBuf> = std::iter::once(this_program.clone()).chain(working_dir).collect();
    let mut model = model::resolve(model.as_deref().or(service.model.as_deref()), environment, &near)?;
    let mut names = service.names.into_iter();
    model.name = names.next().unwrap_or(model.name);
    let gateway_port = (port != 0).then_some(port);
    gateway_port.map_or(Ok(()), ports::check_gateway)?;

    let dir = StateDir::resolve(dir.dir, environment)?;
    let _ownership = dir.own()?;
    let mut view = View::on_stdout(usage);
    let programs = programs(&this_program, gateway, &dir, environment, &mut view)?;
    let mut free = FreePorts::new(std::process::id());
    let (n_prefill, prefill) =
        service.prefill.map_or_else(|| (0, EngineFlags::default()), |it| (it.n_engines, it.engine));
    let LocalWorkload { n_engines: n_decode, engine: decode } = service.decode;
    let ports = Ports::assign(gateway, gateway_port, n_prefill, n_decode, || free.take())?;
    let files = write_files(&dir, &ports, service.picker_config.as_ref())?;
    let stack = Stack {
        version: VERSION,
        state: StackState::Starting,
        pid: Some(std::process::id()),
        dir: dir.root().to_owned(),
        model: Some(model.clone()),
        gateway: Some(Gateway { kind: gateway, url: plan::local_url(ports.gateway) }),
        components: Vec::new(),
    };
    let wish = Wish { model, gateway, aliases: names.collect(), prefill, decode, programs, files };
    let plan = plan::components(&wish, &ports);
    let ended = Supervisor::new(stack, dir.clone(), view).run(plan, process::THIS_PROGRAM.into()).await;
    dir.clear_state()?;
    Ok(ended?)
}

/// The service of the manifest, or the one that the flags describe.
fn local_service(args: &UpArgs) -> Result<LocalService, Error> {
    let engine = EngineFlags { args: args.engine_args.clone(), env: Vec::new() };
    let Some(file) = &args.file else {
        let workload = |n_engines| LocalWorkload { n_engines, engine: engine.clone() };
        return Ok(LocalService {
            model: None,
            names: Vec::new(),
            prefill: (args.prefill > 0).then(|| workload(args.prefill)),
            decode: workload(args.decode),
            picker_config: None,
        });
    };
    let manifest = ManifestArgs {
        file: file.clone(),
        preset: args.preset.clone(),
        namespace: DEFAULT_NAMESPACE.to_owned(),
    };
    let plan = manifest::read(&manifest)?.plan()?;
    let mut service = service::local_service(&plan, args.model.is_some())?;
    // What is typed wins over the manifest, as the last flag does.
    for workload in service.prefill.iter_mut().chain([&mut service.decode]) {
        workload.engine.args.extend(engine.args.iter().cloned());
    }
    Ok(service)
}

fn programs(
    this_program: &Path,
    gateway: GatewayKind,
    dir: &StateDir,
    environment: &Environment,
    view: &mut View,
) -> Result<Programs, Error> {
    let beside = |name: &str| {
        let path = this_program.with_file_name(name);
        if path.is_file() { Ok(path) } else { Err(Error::NoProgram(path)) }
    };
    let envoy = match gateway {
        GatewayKind::Native => None,
        GatewayKind::Envoy => {
            let install_dir = envoy_dir(this_program, dir);
            view.note(&format!("looking for envoy on PATH and in {}", install_dir.display()));
            Some(envoy::find_or_install(&environment.path, &install_dir)?)
        }
    };
    Ok(Programs {
        engine: beside("llmd-engine")?,
        sidecar: beside("llmd-sidecar")?,
        epp: beside("llmd-epp")?,
        envoy,
    })
}

/// `target/envoy` of the workspace that built this program, else a part of the state folder.
fn envoy_dir(this_program: &Path, dir: &StateDir) -> PathBuf {
    let target = this_program.ancestors().find(|it| it.file_name().is_some_and(|name| name == "target"));
    target.map_or_else(|| dir.file("envoy"), |target| target.join("envoy"))
}

fn write_files(dir: &StateDir, ports: &Ports, own: Option<&Map<String, Value>>) -> Result<Files, Error> {
    let endpoints = dir.write_file("endpoints.yaml", epp_config::endpoints(ports).as_bytes())?;
    let config = own.map_or_else(
        || epp_config::config(ports, &endpoints),
        // JSON is YAML.
        |own| service::picker_config(own, &endpoints.to_string_lossy()).to_string(),
    );
    let epp_config = dir.write_file("epp.yaml", config.as_bytes())?;
    let envoy_config = dir.file("envoy.yaml");
    if let Some(admin_port) = ports.envoy_admin {
        dir.write_file("envoy.yaml", envoy::config(ports, admin_port).as_bytes())?;
    }
    Ok(Files { epp_config, envoy_config })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_is_installed_where_cargo_clean_removes_it() {
        let dir = StateDir::resolve(Some("/s".into()), &Environment::default()).unwrap();
        let place = |program: &str| envoy_dir(Path::new(program), &dir);
        assert_eq!(place("/w/target/release/llmd"), Path::new("/w/target/envoy"));
        assert_eq!(place("/usr/bin/llmd"), Path::new("/s/envoy"));
    }
}
