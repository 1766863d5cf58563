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
use llmd_common::serve::Peer;

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
    /// Connections to prefill engines.
    pub prefiller: Upstream,
    /// Connections to the local engine.
    pub decoder: Upstream,
    /// The local engine of each rank.
    pub decoders: Vec<Authority>,
    /// The sidecar's own metrics.
    pub metrics: Metrics,
}

/// Answers the requests of one listener.
#[derive(Debug, Clone)]
pub struct Service {
    shared: Arc<Shared>,
    rank: u16,
}

impl Service {
    /// The service of a rank's listener.
    #[must_use]
    pub const fn new(shared: Arc<Shared>, rank: u16) -> Self {
        Self { shared, rank }
    }

    /// Answers one request. A panic costs this request alone.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let answered = AssertUnwindSafe(self.route(request)).catch_unwind().await;
        answered.unwrap_or(Err(Error::Panic)).unwrap_or_else(|error| error.response())
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<ResponseBody>, Error> {
        if request.method() == Method::CONNECT {
            return Err(Error::Tunnel);
        }
        match route::route(request.method(), request.uri().path()) {
            Route::Health => Ok(Response::new(ResponseBody::full(Bytes::new()))),
            Route::Generation(api) => self.generate(request, api).await,
            Route::Engine => {
                let peer = peer(&request);
                let (parts, body) = request.into_parts();
                let engine = &self.shared.decoders[usize::from(self.rank)];
                proxy::forward(&self.shared.decoder, engine, proxy::head(parts, peer), Either::Right(body))
                    .await
            }
        }
    }

    /// A request for tokens: to the local engine alone, or split into two legs.
    async fn generate(&self, request: Request<Incoming>, api: Api) -> Result<Response<ResponseBody>, Error> {
        let shared = &*self.shared;
        let candidates = route::prefill_candidates(request.headers())?;
        let decoder = self.decoder(request.headers())?;
        let peer = peer(&request);
        let (parts, body) = request.into_parts();
        let body = proxy::read_request(body, shared.config.max_body_bytes).await?;
        let body = without_kv_transfer_params(body).map_err(Error::Body)?;
        let mut head = proxy::head(parts, peer);
        crate::headers::forget_body(&mut head.headers);
        if candidates.is_empty() {
            return proxy::forward(&shared.decoder, decoder, head, Either::Left(Full::new(body))).await;
        }
        Ok(disagg::serve(shared, Split { head, body, api, candidates, decoder }).await)
    }

    /// The local engine that a request goes to: this listener's, unless rank 0 is asked for another one.
    fn decoder(&self, headers: &HeaderMap) -> Result<&Authority, Error> {
        let config = &self.shared.config;
        let mut rank = self.rank;
        if rank == 0 && config.data_parallel_size > 1 {
            let named =
                route::data_parallel_rank(headers, &config.pod_ip, config.port, config.data_parallel_size);
            rank = named.map_err(|value| Error::UnknownRank { value })?.unwrap_or(0);
        }
        Ok(&self.shared.decoders[usize::from(rank)])
    }
}

fn peer(request: &Request<Incoming>) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|it| it.0.ip().to_canonical())
}
