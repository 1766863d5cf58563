//! Who may read metrics and debug pages: whoever sends a token that the API server knows and lets `get` that path,
//! which is what Prometheus is set up for with Kubernetes' own components.
//!
//! An answer of the API server counts for a minute, so scraping costs next to nothing and a withdrawn right is soon
//! gone. Liveness and readiness are not behind it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Router, body};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::report::Report;

/// Paths that everybody may read, because the kubelet has no token.
const OPEN: [&str; 3] = ["/livez", "/healthz", "/readyz"];
/// How long the right of a token to a path is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Rights remembered at a time; with more of them all are asked for again.
const MAX_REMEMBERED: usize = 256;
/// Time for both questions to the API server.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks the API server and remembers what it said. Clones share the memory.
#[derive(Clone)]
struct Access {
    client: Client,
    /// Digest of a token and a path that it may get, and until when.
    allowed: Arc<Mutex<HashMap<[u8; 32], Instant>>>,
}

/// Puts every path of `router` but liveness and readiness behind the API server's word.
pub fn guard(router: Router, client: Client) -> Router {
    let access = Access { client, allowed: Arc::default() };
    router.layer(middleware::from_fn_with_state(access, check))
}

async fn check(State(access): State<Access>, request: Request<body::Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if OPEN.contains(&path.as_str()) {
        return next.run(request).await;
    }
    let Some(token) = bearer(request.headers()) else {
        return (StatusCode::UNAUTHORIZED, "send a bearer token").into_response();
    };
    match access.admits(token, &path).await {
        Ok(true) => next.run(request).await,
        Ok(false) => {
            (StatusCode::FORBIDDEN, format!("the token may not get the path {path}")).into_response()
        }
        Err(error) => {
            tracing::warn!(error = %Report(&error), "cannot ask who may read this");
            (StatusCode::SERVICE_UNAVAILABLE, "the API server does not answer").into_response()
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).filter(|it| !it.is_empty())
}

/// Why a token could not be judged.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the API server refused the question")]
    Kube(#[from] kube::Error),
    #[error("no answer in {DEADLINE:?}")]
    Deadline(#[from] tokio::time::error::Elapsed),
}

impl Access {
    async fn admits(&self, token: &str, path: &str) -> Result<bool, Error> {
        // No token holds a line break, so two pairs never give the same text.
        let digest: [u8; 32] = Sha256::digest(format!("{token}\n{path}")).into();
        if self.allowed.lock().get(&digest).is_some_and(|until| Instant::now() < *until) {
            return Ok(true);
        }
        let is_allowed = tokio::time::timeout(DEADLINE, self.ask(token, path)).await??;
        if is_allowed {
            let mut allowed = self.allowed.lock();
            if allowed.len() >= MAX_REMEMBERED {
                allowed.clear();
            }
            allowed.insert(digest, Instant::now() + REMEMBERED);
        }
        Ok(is_allowed)
    }

    async fn ask(&self, token: &str, path: &str) -> Result<bool, kube::Error> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviewed = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let status = reviewed.status.unwrap_or_default();
        let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else { return Ok(false) };
        let review = SubjectAccessReview { spec: access_of(user, path), ..SubjectAccessReview::default() };
        let reviewed = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        Ok(reviewed.status.is_some_and(|it| it.allowed))
    }
}

fn access_of(user: UserInfo, path: &str) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: user.username,
        uid: user.uid,
        groups: user.groups,
        extra: user.extra,
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some(path.to_owned()),
            verb: Some("get".to_owned()),
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_counts() {
        let token = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer "), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
