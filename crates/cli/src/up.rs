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
pub mod supervisor;
pub mod view;

use std::io;
use std::path::{Path, PathBuf};

use crate::args::{Environment, GatewayArg, UpArgs};
use crate::state::dir::{self, StateDir};
use crate::state::{Gateway, GatewayKind, Stack, StackState, VERSION};
use crate::up::plan::{Files, Programs, Wish};
use crate::up::ports::{FreePorts, Ports};
use crate::up::supervisor::Supervisor;
use crate::up::view::{Usage, View};

/// Why there is no stack.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The state folder cannot be used.
    #[error(transparent)]
    Dir(#[from] dir::Error),
    /// No such model.
    #[error(transparent)]
    Model(#[from] model::Error),
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
    let UpArgs { model, prefill, decode, port, gateway, dir, engine_args } = args;
    let gateway = match gateway {
        GatewayArg::Native => GatewayKind::Native,
        GatewayArg::Envoy => GatewayKind::Envoy,
    };
    let this_program = std::env::current_exe().map_err(Error::Itself)?;
    let working_dir = std::env::current_dir().ok();
    let usage = Usage::new(&this_program, &environment.path, working_dir.as_deref(), dir.dir.as_deref());
    let near: Vec<PathBuf> = std::iter::once(this_program.clone()).chain(working_dir).collect();
    let model = model::resolve(model.as_deref(), environment, &near)?;
    let gateway_port = (port != 0).then_some(port);
    gateway_port.map_or(Ok(()), ports::check_gateway)?;

    let dir = StateDir::resolve(dir.dir, environment)?;
    let _ownership = dir.own()?;
    let mut view = View::on_stdout(usage);
    let programs = programs(&this_program, gateway, &dir, environment, &mut view)?;
    let mut free = FreePorts::new(std::process::id());
    let ports = Ports::assign(gateway, gateway_port, prefill, decode, || free.take())?;
    let files = write_files(&dir, &ports)?;
    let stack = Stack {
        version: VERSION,
        state: StackState::Starting,
        pid: Some(std::process::id()),
        dir: dir.root().to_owned(),
        model: Some(model.clone()),
        gateway: Some(Gateway { kind: gateway, url: plan::local_url(ports.gateway) }),
        components: Vec::new(),
    };
    let plan = plan::components(&Wish { model, gateway, engine_args, programs, files }, &ports);
    let ended = Supervisor::new(stack, dir.clone(), view).run(plan, process::THIS_PROGRAM.into()).await;
    dir.clear_state()?;
    Ok(ended?)
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

fn write_files(dir: &StateDir, ports: &Ports) -> Result<Files, Error> {
    let endpoints = dir.write_file("endpoints.yaml", epp_config::endpoints(ports).as_bytes())?;
    let epp_config = dir.write_file("epp.yaml", epp_config::config(ports, &endpoints).as_bytes())?;
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
