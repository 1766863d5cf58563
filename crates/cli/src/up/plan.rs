//! What a stack consists of: every component with its command line, addresses and health check.
//!
//! A pure function of the wish ([`Wish`]) and the ports. Nothing is started, read or written here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use llmd_api::admin;

use crate::state::{GatewayKind, Model, Role};
use crate::up::ports::{DecodePorts, Ports};
use crate::up::service::EngineFlags;

/// What both kinds of engine must say for KV blocks to move between them.
const KV_TRANSFER_CONFIG: &str = r#"{"kv_connector":"NixlConnector","kv_role":"kv_both"}"#;

/// How long the picker and the sidecars let requests finish when the stack goes down: less than the keepers' grace.
const DRAIN: &str = "10s";

/// What the user asked for, resolved to files.
#[derive(Debug, Clone)]
pub struct Wish {
    /// What to serve.
    pub model: Model,
    /// Who accepts requests.
    pub gateway: GatewayKind,
    /// Names of the model besides its own.
    pub aliases: Vec<String>,
    /// Further flags of the prefill engines.
    pub prefill: EngineFlags,
    /// Further flags of the decode engines.
    pub decode: EngineFlags,
    /// The programs.
    pub programs: Programs,
    /// The generated configuration files.
    pub files: Files,
}

/// Where the programs are.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `llmd-engine`.
    pub engine: PathBuf,
    /// `llmd-sidecar`.
    pub sidecar: PathBuf,
    /// `llmd-epp`.
    pub epp: PathBuf,
    /// `envoy`, with the Envoy gateway.
    pub envoy: Option<PathBuf>,
}

/// Where the configuration files are.
#[derive(Debug, Clone)]
pub struct Files {
    /// `EndpointPickerConfig`.
    pub epp_config: PathBuf,
    /// Envoy's static configuration.
    pub envoy_config: PathBuf,
}

/// One process to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Unique in the stack.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// How it is started.
    pub command: CommandLine,
    /// A URL that answers 200 when the component is ready.
    pub health_url: String,
    /// Addresses by purpose.
    pub urls: BTreeMap<String, String>,
}

/// A program with arguments and additions to the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables to set.
    pub env: Vec<(String, String)>,
}

/// Base URL of a port of this machine.
#[must_use]
pub fn local_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The components in the order of a request's way: gateway, picker, then decode and prefill.
#[must_use]
pub fn components(wish: &Wish, ports: &Ports) -> Vec<Component> {
    let envoy = wish.programs.envoy.iter().zip(ports.envoy_admin);
    let mut components: Vec<_> = envoy.map(|(program, admin)| gateway(wish, program, ports, admin)).collect();
    components.push(epp(wish, ports));
    for (idx, decode) in ports.decode.iter().enumerate() {
        components.push(sidecar(wish, idx, *decode));
        components.push(engine(wish, Role::Decode, idx, decode.engine));
    }
    let prefill = ports.prefill.iter().enumerate();
    components.extend(prefill.map(|(idx, &port)| engine(wish, Role::Prefill, idx, port)));
    components
}

fn gateway(wish: &Wish, program: &std::path::Path, ports: &Ports, admin_port: u16) -> Component {
    let admin = local_url(admin_port);
    Component {
        name: "gateway".into(),
        role: Role::Gateway,
        command: CommandLine {
            program: program.to_owned(),
            args: strings(["-c", &wish.files.envoy_config.to_string_lossy(), "--concurrency", "1"])
                .chain(strings(["--disable-hot-restart", "--log-level", "warning"]))
                .collect(),
            env: Vec::new(),
        },
        health_url: format!("{admin}/ready"),
        urls: urls([
            ("http", local_url(ports.gateway)),
            ("metrics", format!("{admin}/stats/prometheus")),
            ("admin", admin),
        ]),
    }
}

fn epp(wish: &Wish, ports: &Ports) -> Component {
    let admin = local_url(ports.epp.metrics);
    let mut args: Vec<String> = strings(["--host", "127.0.0.1", "--pool-name", "llmd-up"]).collect();
    args.extend(strings(["--config-file", &wish.files.epp_config.to_string_lossy()]));
    args.extend(port_flag("--grpc-port", ports.epp.grpc));
    args.extend(port_flag("--grpc-health-port", ports.epp.grpc_health));
    args.extend(port_flag("--metrics-port", ports.epp.metrics));
    args.extend([format!("--drain-timeout={DRAIN}"), "--secure-serving=false".into()]);
    let mut urls = urls([
        ("metrics", format!("{admin}{}", admin::METRICS)),
        ("decisions", format!("{admin}{}", admin::DEBUG_DECISIONS)),
        ("ext_proc", local_url(ports.epp.grpc)),
        ("admin", admin.clone()),
    ]);
    match wish.gateway {
        GatewayKind::Native => {
            args.extend(port_flag("--proxy-port", ports.gateway));
            urls.insert("http".into(), local_url(ports.gateway));
        }
        GatewayKind::Envoy => {}
    }
    Component {
        name: "epp".into(),
        role: Role::Epp,
        command: CommandLine { program: wish.programs.epp.clone(), args, env: Vec::new() },
        health_url: format!("{admin}{}", admin::READYZ),
        urls,
    }
}

fn sidecar(wish: &Wish, idx: usize, ports: DecodePorts) -> Component {
    let (http, metrics) = (local_url(ports.sidecar), local_url(ports.sidecar_metrics));
    let mut args: Vec<String> = strings(["--host", "127.0.0.1", "--secure-proxy=false"]).collect();
    // As the other components log, so that all logs read as one.
    args.push("--zap-encoder=console".into());
    // Losing a prefill engine costs time, never an answer.
    args.extend(["--prefill-failure-policy=local".into(), format!("--shutdown-timeout={DRAIN}")]);
    args.extend(port_flag("--port", ports.sidecar));
    args.extend(port_flag("--model-server-port", ports.engine));
    args.extend(port_flag("--metrics-port", ports.sidecar_metrics));
    Component {
        name: format!("sidecar-{idx}"),
        role: Role::Sidecar,
        command: CommandLine { program: wish.programs.sidecar.clone(), args, env: Vec::new() },
        health_url: format!("{http}/health"),
        urls: urls([("http", http), ("metrics", format!("{metrics}{}", admin::METRICS))]),
    }
}

fn engine(wish: &Wish, role: Role, idx: usize, port: u16) -> Component {
    let http = local_url(port);
    let mut args: Vec<String> = strings(["serve", &wish.model.path.to_string_lossy()]).collect();
    args.extend(strings(["--host", "127.0.0.1", "--served-model-name", &wish.model.name]));
    args.extend(wish.aliases.iter().cloned());
    args.extend(port_flag("--port", port));
    args.extend(strings(["--kv-transfer-config", KV_TRANSFER_CONFIG, "--enable-prompt-tokens-details"]));
    let flags = if role == Role::Prefill { &wish.prefill } else { &wish.decode };
    args.extend(flags.args.iter().cloned());
    // The engine names its listener in every transfer, so any free port will do.
    let env = [("VLLM_NIXL_SIDE_CHANNEL_HOST", "127.0.0.1"), ("VLLM_NIXL_SIDE_CHANNEL_PORT", "0")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = flags.env.iter().cloned().chain(env).collect();
    Component {
        name: format!("{}-{idx}", role.as_str()),
        role,
        command: CommandLine { program: wish.programs.engine.clone(), args, env },
        health_url: format!("{http}/health"),
        urls: urls([("metrics", format!("{http}{}", admin::METRICS)), ("http", http)]),
    }
}

fn strings<const N: usize>(words: [&str; N]) -> impl Iterator<Item = String> {
    words.map(str::to_owned).into_iter()
}

fn port_flag(flag: &str, port: u16) -> [String; 2] {
    [flag.to_owned(), port.to_string()]
}

fn urls<const N: usize>(urls: [(&str, String); N]) -> BTreeMap<String, String> {
    urls.into_iter().map(|(purpose, url)| (purpose.to_owned(), url)).collect()
}

#[cfg(test)]
pub(crate) mod tests;
