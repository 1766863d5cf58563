use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde_json::json;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_lease_is_taken_when_free_own_or_stale() {
    let at = Timestamp::UNIX_EPOCH;
    let held = claimed(&LeaseSpec::default(), "a", at);
    assert!(may_claim(&held, "a", SECOND));
    assert!(!may_claim(&held, "b", DURATION - SECOND));
    assert!(may_claim(&held, "b", DURATION));
    assert!(may_claim(&released(&held, at), "b", Duration::ZERO));
}

#[test]
fn transitions_count_changes_of_the_holder() {
    let at = Timestamp::UNIX_EPOCH;
    let later = at + jiff::SignedDuration::from_secs(5);
    let first = claimed(&LeaseSpec::default(), "a", at);
    assert_eq!(first.lease_transitions, Some(0));
    let renewed = claimed(&first, "a", later);
    assert_eq!((renewed.acquire_time.clone(), renewed.lease_transitions), (first.acquire_time, Some(0)));
    assert_eq!(renewed.renew_time, Some(MicroTime(later)));
    let taken = claimed(&renewed, "b", later);
    assert_eq!((taken.holder_identity.as_deref(), taken.lease_transitions), (Some("b"), Some(1)));
}

/// An API server with one lease, which answers after a delay.
#[derive(Debug, Clone, Default)]
struct Server(Arc<Mutex<Stored>>);

#[derive(Debug, Default)]
struct Stored {
    lease: Option<Lease>,
    /// When the lease was stored last.
    at: Option<Instant>,
    /// From the arrival of a request to its answer.
    delay: Duration,
}

impl Server {
    fn candidate(&self, identity: &str) -> Election {
        let server = self.clone();
        let routes =
            Router::new().fallback(move |method: Method, body: Bytes| server.clone().answer(method, body));
        Election::new(Client::new(routes, "kserve"), "kserve", "controller", identity.to_owned())
    }

    async fn answer(self, method: Method, body: Bytes) -> Response {
        let (lease, delay) = {
            let mut stored = self.0.lock();
            if method != Method::GET {
                stored.lease = Some(serde_json::from_slice(&body).unwrap());
                stored.at = Some(Instant::now());
            }
            (stored.lease.clone(), stored.delay)
        };
        tokio::time::sleep(delay).await;
        let status = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"});
        lease.map_or_else(
            || (StatusCode::NOT_FOUND, Json(status)).into_response(),
            |it| Json(it).into_response(),
        )
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_gives_up_before_others_may_take_over_however_slow_the_answers_are() {
    for delay in [0, 1, 2, 4, 60].map(Duration::from_secs) {
        let server = Server::default();
        let mut holder = server.candidate("a");
        holder.acquire().await;
        server.0.lock().delay = delay;
        let cut = async {
            tokio::time::sleep(SECOND * 31).await;
            server.0.lock().delay = SECOND * 3600;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = holder.hold() => {}
            () = cut => {}
        }
        let age = server.0.lock().at.unwrap().elapsed();
        assert!(age <= RENEW_DEADLINE, "{age:?} after the lease was stored, with answers after {delay:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_gives_up_at_once_when_another_has_the_lease() {
    let server = Server::default();
    let mut holder = server.candidate("a");
    holder.acquire().await;
    let taken = claimed(&LeaseSpec::default(), "b", Timestamp::now());
    server.0.lock().lease.as_mut().unwrap().spec = Some(taken);
    let start = Instant::now();
    holder.hold().await;
    assert!(start.elapsed() <= RETRY, "{:?}", start.elapsed());
}
