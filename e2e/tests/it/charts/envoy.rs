//! The chart's configuration of Envoy, taken by Envoy itself.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use llmd_e2e::args::kubernetes_programs;
use llmd_e2e::cluster::free_port;
use serde_json::Value;

use super::{Case, helm_or_skip, name};

/// Envoy is up in a second; a busy machine takes longer.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// The Envoy beside the programs of Kubernetes; `None`, with a word on why, where there is none.
fn envoy_or_skip() -> Result<Option<PathBuf>> {
    let program = kubernetes_programs()?.join("envoy");
    if program.exists() {
        return Ok(Some(program));
    }
    println!("skipped: no envoy beside kube-apiserver: `cargo xtask k8s --add gateway` fetches it");
    Ok(None)
}

/// The configurations of all cases, by the name of the case; `None`, with a word on why, without Helm.
fn configurations() -> Result<Option<Vec<(String, Value)>>> {
    let Some(helm) = helm_or_skip()? else { return Ok(None) };
    let mut found = Vec::new();
    for case in Case::all()?.into_iter().filter(|it| it.chart == "llmd-router") {
        let objects = case.objects(&helm)?;
        let text = objects.iter().filter(|it| name(it).ends_with("-envoy"));
        for text in text.filter_map(|it| it["data"]["envoy.yaml"].as_str()) {
            found.push((case.name.clone(), serde_saphyr::from_str(text)?));
        }
    }
    ensure!(!found.is_empty(), "no case has a configuration of Envoy");
    Ok(Some(found))
}

/// Writes a configuration where Envoy finds it.
fn write(folder: &Path, configuration: &Value) -> Result<String> {
    let path = folder.join("envoy.json");
    std::fs::write(&path, configuration.to_string())?;
    Ok(path.display().to_string())
}

#[test]
fn envoy_takes_every_configuration() -> Result<()> {
    let Some(envoy) = envoy_or_skip()? else { return Ok(()) };
    let Some(configurations) = configurations()? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    for (case, configuration) in configurations {
        let path = write(folder.path(), &configuration)?;
        let output = Command::new(&envoy).args(["--mode", "validate", "-c", &path]).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{case}: {errors}");
    }
    Ok(())
}

/// A request that passes without the endpoint picker would reach any address that its client names.
#[test]
fn a_client_cannot_name_its_destination() -> Result<()> {
    let Some(envoy) = envoy_or_skip()? else { return Ok(()) };
    let Some(configurations) = configurations()? else { return Ok(()) };
    let configuration = configurations.into_iter().find(|(case, _)| case == "envoy-fail-open");
    let (_, mut configuration) = configuration.context("no case envoy-fail-open")?;
    let target = TcpListener::bind(("127.0.0.1", 0))?;
    let destination = target.local_addr()?.to_string();
    std::thread::spawn(move || {
        for stream in target.incoming().flatten() {
            drop(answer(stream));
        }
    });
    let port = free_port()?;
    let listeners = &mut configuration["static_resources"]["listeners"];
    for (listener, port) in [(0, free_port()?), (1, port)] {
        listeners[listener]["address"]["socket_address"]["port_value"] = port.into();
    }
    configuration["admin"]["address"]["socket_address"]["port_value"] = free_port()?.into();
    let folder = tempfile::tempdir()?;
    let with_fix = Envoy::start(&envoy, &write(folder.path(), &configuration)?, port)?;
    let status = status_of(port, &destination)?;
    assert!(status.contains(" 503 "), "the client's destination was reached: {status}");
    drop(with_fix);

    let filters = &mut configuration["static_resources"]["listeners"][1]["filter_chains"][0]["filters"];
    let manager = filters[0]["typed_config"].as_object_mut().context("a connection manager")?;
    manager.remove("early_header_mutation_extensions").context("what drops the header")?;
    let _without = Envoy::start(&envoy, &write(folder.path(), &configuration)?, port)?;
    let status = status_of(port, &destination)?;
    assert!(status.contains(" 200 "), "nothing else kept the client out, so this proves nothing: {status}");
    Ok(())
}

/// A running Envoy.
struct Envoy(Child);

impl Envoy {
    /// Starts it and waits until it accepts connections on `port`.
    fn start(program: &Path, configuration: &str, port: u16) -> Result<Self> {
        let arguments =
            ["-c", configuration, "--log-level", "off", "--use-dynamic-base-id", "--concurrency", "1"];
        let process =
            Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let mut envoy = Self(process);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = envoy.0.try_wait()? {
                bail!("envoy ended: {status}");
            }
            if start.elapsed() > READY_DEADLINE {
                bail!("envoy does not listen after {READY_DEADLINE:?}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(envoy)
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The status line that a request gets which names its own destination.
fn status_of(port: u16, destination: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let header = format!("x-gateway-destination-endpoint: {destination}");
    write!(stream, "GET /v1/models HTTP/1.1\r\nhost: x\r\n{header}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

/// Answers one request as a server does that nobody should reach.
fn answer(mut stream: TcpStream) -> Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    Ok(())
}
