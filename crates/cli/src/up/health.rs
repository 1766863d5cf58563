//! Is a component ready? One GET, and what its answer means.

use std::time::Duration;

use http::StatusCode;

use crate::client::{Client, Error};

/// A component that has not answered by then is not ready.
const TIMEOUT: Duration = Duration::from_secs(2);
/// What an engine's `/health` says while it reads weights: this, a number, ` %`.
const LOADING: &str = "loading model: ";
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 160;

/// Result of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Serves.
    Ready,
    /// An engine that reads its weights.
    Loading {
        /// 0 to 100.
        percent: u8,
    },
    /// It accepts connections, or keeps one open, and says nothing: it hangs, or the machine is very busy.
    Silent {
        /// For people.
        reason: String,
    },
    /// Anything else.
    NotReady {
        /// For people.
        reason: String,
    },
}

/// Checks one URL over and over.
#[derive(Debug, Clone)]
pub struct HealthCheck {
    client: Client,
    url: String,
}

impl HealthCheck {
    /// A check of `url`.
    ///
    /// # Errors
    /// [`Error::Url`] when it is none.
    pub fn new(url: String) -> Result<Self, Error> {
        Ok(Self { client: Client::for_base(&url, TIMEOUT)?, url })
    }

    /// Asks now.
    pub async fn ask(&self) -> Health {
        match self.client.get(&self.url, None).await {
            Ok((status, body)) => interpret(status, &body),
            Err(Error::Connect { .. }) => not_ready("does not listen yet"),
            Err(error @ Error::Timeout { .. }) => Health::Silent { reason: error.to_string() },
            Err(error) => not_ready(&error.to_string()),
        }
    }
}

/// What a status and a body say.
fn interpret(status: StatusCode, body: &str) -> Health {
    if status.is_success() {
        return Health::Ready;
    }
    let first_line = body.lines().next().unwrap_or_default().trim();
    let percent = first_line.strip_prefix(LOADING).and_then(|rest| rest.split_whitespace().next());
    if let Some(percent) = percent.and_then(|text| text.parse::<u8>().ok()) {
        return Health::Loading { percent: percent.min(100) };
    }
    if first_line.is_empty() { not_ready(&status.to_string()) } else { not_ready(first_line) }
}

fn not_ready(reason: &str) -> Health {
    Health::NotReady { reason: reason.chars().take(MAX_REASON).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_and_body() {
        let cases = [
            (200, "", Health::Ready),
            (503, "loading model: 45 %", Health::Loading { percent: 45 }),
            (503, "loading model: 300 %", not_ready("loading model: 300 %")),
            (503, "loading model: 120 %\n", Health::Loading { percent: 100 }),
            (503, "endpoints: none ready\nmodel: x", not_ready("endpoints: none ready")),
            (503, "", not_ready("503 Service Unavailable")),
            (404, "\n", not_ready("404 Not Found")),
        ];
        for (status, body, health) in cases {
            assert_eq!(interpret(StatusCode::from_u16(status).unwrap(), body), health, "{status} {body:?}");
        }
    }

    #[tokio::test]
    async fn silence_is_not_a_refusal() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let check = HealthCheck::new(format!("http://{}/health", listener.local_addr().unwrap())).unwrap();
        assert!(matches!(check.ask().await, Health::Silent { .. }));
    }

    #[tokio::test]
    async fn nobody_listening_is_a_reason() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let check = HealthCheck::new(format!("http://127.0.0.1:{port}/health")).unwrap();
        assert_eq!(check.ask().await, not_ready("does not listen yet"));
    }
}
