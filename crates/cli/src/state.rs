//! The state of a stack as `llmd status --json` prints it: stable, what scripts and tests read.
//!
//! `llmd up` is the only writer. Fields are added, never renamed or removed, within one `version`.

pub mod dir;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Version of this format.
pub const VERSION: u32 = 1;

/// A whole stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// [`VERSION`].
    pub version: u32,
    /// Sum of the components' states.
    pub state: StackState,
    /// Process id of `llmd up`; absent when stopped.
    pub pid: Option<u32>,
    /// State folder.
    pub dir: PathBuf,
    /// What is served; absent when stopped.
    pub model: Option<Model>,
    /// Where requests go; absent when stopped.
    pub gateway: Option<Gateway>,
    /// In the order of a request's way from the gateway back.
    pub components: Vec<Component>,
}

/// How a stack is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StackState {
    /// Some component has never been ready.
    Starting,
    /// Every component is ready.
    Ready,
    /// It was ready, and some component is not now.
    Degraded,
    /// On the way down.
    Stopping,
    /// No `llmd up` runs in this folder.
    Stopped,
}

/// What a stack serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Name in requests.
    pub name: String,
    /// Folder it was loaded from.
    pub path: PathBuf,
}

/// Where a stack listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// `native` or `envoy`.
    pub kind: GatewayKind,
    /// Base URL, without `/v1`.
    pub url: String,
}

/// Who accepts the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayKind {
    /// The endpoint picker's own proxy.
    Native,
    /// Envoy.
    Envoy,
}

/// One process of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    /// Unique in the stack: `decode-0`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// How it is doing.
    pub state: ComponentState,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// Share of the model that is loaded, in percent, while loading.
    pub progress: Option<u8>,
    /// Process id, while there is a process.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// Addresses by purpose: `http`, `metrics`, …
    pub urls: BTreeMap<String, String>,
    /// Standard output and error of every start since `llmd up` began.
    pub log_file: PathBuf,
}

/// What a component does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Accepts requests (only with Envoy; else the endpoint picker does).
    Gateway,
    /// Endpoint picker.
    Epp,
    /// Proxy before a decode engine.
    Sidecar,
    /// Engine that computes prompts.
    Prefill,
    /// Engine that generates.
    Decode,
}

impl Role {
    /// The word in the JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Epp => "epp",
            Self::Sidecar => "sidecar",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// How a component is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentState {
    /// Running, and not ready since this start.
    Starting,
    /// Serving.
    Ready,
    /// Running, was ready, and is not now.
    Unready,
    /// Ended; will be started again after a pause.
    Restarting,
    /// Asked to end.
    Stopping,
    /// Ended as asked.
    Stopped,
    /// Ended and not started again.
    Failed,
}

impl ComponentState {
    /// The word in the JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Unready => "unready",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl Stack {
    /// What stands for a folder in which no `llmd up` runs.
    #[must_use]
    pub const fn stopped(dir: PathBuf) -> Self {
        Self {
            version: VERSION,
            state: StackState::Stopped,
            pid: None,
            dir,
            model: None,
            gateway: None,
            components: Vec::new(),
        }
    }

    /// Whether every component serves.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.components.iter().all(|it| it.state == ComponentState::Ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_what_scripts_rely_on() {
        let mut stack = Stack::stopped("/s".into());
        stack.state = StackState::Degraded;
        stack.pid = Some(5);
        stack.gateway = Some(Gateway { kind: GatewayKind::Native, url: "http://127.0.0.1:8080".into() });
        stack.components.push(Component {
            name: "decode-0".into(),
            role: Role::Decode,
            state: ComponentState::Starting,
            reason: Some("loading model: 45 %".into()),
            progress: Some(45),
            pid: Some(9),
            restarts: 1,
            urls: BTreeMap::from([("http".to_owned(), "http://127.0.0.1:9".to_owned())]),
            log_file: "/s/logs/decode-0.log".into(),
        });
        let json = serde_json::to_value(&stack).unwrap();
        let expected = serde_json::json!({
            "version": 1, "state": "degraded", "pid": 5, "dir": "/s", "model": null,
            "gateway": { "kind": "native", "url": "http://127.0.0.1:8080" },
            "components": [{
                "name": "decode-0", "role": "decode", "state": "starting", "reason": "loading model: 45 %",
                "progress": 45, "pid": 9, "restarts": 1, "urls": { "http": "http://127.0.0.1:9" },
                "log_file": "/s/logs/decode-0.log",
            }],
        });
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_value::<Stack>(json).unwrap(), stack);
    }
}
