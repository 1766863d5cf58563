//! One request, from its arrival to the response.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use llmd_common::proxy::body;
use llmd_common::serve::Peer;

use crate::allowlist::{Allowlist, Denied};
use crate::body::ResponseBody;
use crate::client_body::without_kv_transfer_params;
use crate::config::Config;
use crate::disagg::{self, Split};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::proxy;
use crate::route::{self, Api, Route};
use crate::upstream::Upstream;

/// What all listeners share.
#[derive(Debug)]
pub struct Shared {
    /// The settings.
    pub config: Config,
    /// Which prefill endpoints may be called; all when absent.
    pub allowlist: Option<Allowlist>,
    /// Connections to prefill engines.
    pub prefiller: Upstream,
    /// Connections to the local engine.
    pub decoder: Upstream,
    /// Where each rank is listened for.
    pub listen_ports: Vec<u16>,
    /// The local engine of each rank.
    pub decoders: Vec<Authority>,
    /// The sidecar's own metrics.
    pub metrics: Metrics,
}

/// Answers the requests of one listener.
#[derive(Debug, Clone)]
pub struct Service {
    shared: Arc<Shared>,
    rank: usize,
}

impl Service {
    /// The service of a rank's listener.
    #[must_use]
    pub const fn new(shared: Arc<Shared>, rank: usize) -> Self {
        Self { shared, rank }
    }

    /// Answers one request. A panic costs this request alone.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        isolated(self.route(request)).await.unwrap_or_else(|error| error.response())
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<ResponseBody>, Error> {
        if request.method() == Method::CONNECT {
            return Err(Error::Tunnel);
        }
        match route::route(request.method(), request.uri().path()) {
            Route::Health => self.health(),
            Route::Generation(api) => self.generate(request, api).await,
            Route::Engine => {
                let peer = peer(&request);
                let (parts, body) = request.into_parts();
                let engine = &self.shared.decoders[self.rank];
                proxy::forward(&self.shared.decoder, engine, proxy::head(parts, peer), Either::Right(body))
                    .await
            }
        }
    }

    /// A request for tokens: to the local engine alone, or split into two legs.
    async fn generate(&self, request: Request<Incoming>, api: Api) -> Result<Response<ResponseBody>, Error> {
        let shared = &*self.shared;
        let candidates = self.permitted(route::prefill_candidates(request.headers())?)?;
        let decoder = self.decoder(request.headers())?;
        let peer = peer(&request);
        let (parts, body) = request.into_parts();
        let body = body::read(body, shared.config.max_body_bytes).await?;
        let body = without_kv_transfer_params(body).map_err(Error::Body)?;
        let mut head = proxy::head(parts, peer);
        crate::headers::forget_body(&mut head.headers);
        if candidates.is_empty() {
            return proxy::forward(&shared.decoder, decoder, head, Either::Left(Full::new(body))).await;
        }
        Ok(disagg::serve(shared, Split { head, body, api, candidates, decoder }).await)
    }

    /// Healthy means able to do the work of this process, whatever the engine does: once the allowlist is known.
    fn health(&self) -> Result<Response<ResponseBody>, Error> {
        match &self.shared.allowlist {
            Some(allowlist) if !allowlist.is_known() => Err(Denied::Unknown.into()),
            _ => Ok(Response::new(ResponseBody::full(Bytes::new()))),
        }
    }

    /// The prefill endpoints that may be called.
    fn permitted(&self, candidates: Vec<Authority>) -> Result<Vec<Authority>, Denied> {
        let Some(allowlist) = &self.shared.allowlist else { return Ok(candidates) };
        allowlist.permit(candidates).inspect_err(|denied| self.shared.metrics.denied(denied))
    }

    /// The local engine that a request goes to: this listener's, unless rank 0 is asked for another one.
    fn decoder(&self, headers: &HeaderMap) -> Result<&Authority, Error> {
        let shared = &self.shared;
        let mut rank = self.rank;
        if rank == 0 && shared.decoders.len() > 1 {
            let named = route::data_parallel_rank(headers, &shared.config.pod_ip, &shared.listen_ports);
            rank = named.map_err(|value| Error::UnknownRank { value })?.unwrap_or(0);
        }
        Ok(&shared.decoders[rank])
    }
}

/// Turns a panic of one request into its error. The state that requests share is counters and connection pools,
/// which a panic between two operations leaves whole.
async fn isolated<T>(request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(request).catch_unwind().await.unwrap_or(Err(Error::Panic))
}

fn peer(request: &Request<Incoming>) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|it| it.0.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_request() {
        let bug = async || -> Result<(), Error> { panic!("a bug") };
        let error = isolated(bug()).await.unwrap_err();
        assert_eq!(error.response().status(), 500);
        assert!(isolated(async { Ok(()) }).await.is_ok());
    }
}
