//! The gRPC service `envoygateway.extension.EnvoyGatewayExtension`: the two hooks that a pool needs.
//!
//! Requests and responses stay bytes here, so a hand-written codec passes them on; the rest is tonic's.

use std::convert::Infallible;
use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut};
use kube::Client;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tower_service::Service;

use super::lookup::LookupError;
use super::picker::Picker;
use super::pool::Pool;
use super::wire::{self, Malformed, put};
use super::{cluster, plan, rules, services, translation};

const POST_CLUSTER_MODIFY: &str = "/envoygateway.extension.EnvoyGatewayExtension/PostClusterModify";
const POST_TRANSLATE_MODIFY: &str = "/envoygateway.extension.EnvoyGatewayExtension/PostTranslateModify";

/// The configuration of a whole fleet of Envoys is one message.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Answers Envoy Gateway. Clones are cheap.
#[derive(Clone)]
pub struct ExtensionServer {
    client: Client,
    cluster_domain: String,
}

impl Debug for ExtensionServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionServer")
            .field("cluster_domain", &self.cluster_domain)
            .finish_non_exhaustive()
    }
}

/// Why a hook fails. Envoy Gateway then keeps the configuration it had.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the pool is no JSON")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl From<HookError> for Status {
    fn from(error: HookError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "a hook of Envoy Gateway fails");
        let code = match &error {
            HookError::Lookup(_) => Code::Unavailable,
            HookError::Malformed(_) | HookError::Json(_) => Code::InvalidArgument,
        };
        Self::new(code, error.to_string())
    }
}

impl ExtensionServer {
    /// A server that looks things up with the rights of `client`: `get` of HTTPRoutes and Services. `cluster_domain`
    /// ends the names of Services.
    #[must_use]
    pub const fn new(client: Client, cluster_domain: String) -> Self {
        Self { client, cluster_domain }
    }

    async fn post_translate_modify(&self, request: &[u8]) -> Result<Vec<u8>, HookError> {
        let noted = translation::noted(request)?;
        let rules = rules::read(&self.client, plan::routes(&noted)).await?;
        let plans = plan::plans(&noted, &rules);
        let pickers: Vec<Picker> = plan::pickers(&plans).into_values().cloned().collect();
        let clear_text = services::clear_text(&self.client, pickers.into_iter()).await?;
        tracing::debug!(?plans, ?clear_text, "clusters of pools");
        Ok(translation::respond(request, &plans, &clear_text, &self.cluster_domain)?)
    }
}

fn post_cluster_modify(request: &[u8]) -> Result<Vec<u8>, HookError> {
    let pools = pools(request)?;
    let mut response = Vec::new();
    for field in wire::fields(request)?.iter().filter(|it| it.number == number::CLUSTER) {
        put(number::CLUSTER, &cluster::note(field.value, &pools), &mut response);
    }
    Ok(response)
}

/// Numbers of `PostClusterModifyRequest` and what is in it.
mod number {
    pub(super) const CLUSTER: usize = 1;
    pub(super) const CONTEXT: usize = 2;
    pub(super) const RESOURCES: usize = 1;
    pub(super) const JSON: usize = 1;
}

/// The pools among the backends that a cluster stands for.
fn pools(request: &[u8]) -> Result<Vec<Pool>, HookError> {
    let mut pools = Vec::new();
    for context in wire::fields(request)?.iter().filter(|it| it.number == number::CONTEXT) {
        for resource in wire::fields(context.value)?.iter().filter(|it| it.number == number::RESOURCES) {
            let object = serde_json::from_str(wire::text(resource.value, number::JSON)?)?;
            pools.push(Pool::of_object(&object));
        }
    }
    Ok(pools)
}

/// One of the hooks.
#[derive(Debug, Clone, Copy)]
enum Hook {
    Cluster,
    Translate,
}

/// A hook of a server, as tonic calls it.
struct Call(ExtensionServer, Hook);

impl UnaryService<Vec<u8>> for Call {
    type Response = Vec<u8>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Vec<u8>>, Status>> + Send>>;

    fn call(&mut self, request: Request<Vec<u8>>) -> Self::Future {
        let (server, hook) = (self.0.clone(), self.1);
        Box::pin(async move {
            let request = request.into_inner();
            let response = match hook {
                Hook::Cluster => post_cluster_modify(&request)?,
                Hook::Translate => server.post_translate_modify(&request).await?,
            };
            Ok(Response::new(response))
        })
    }
}

impl NamedService for ExtensionServer {
    const NAME: &'static str = "envoygateway.extension.EnvoyGatewayExtension";
}

impl Service<http::Request<Body>> for ExtensionServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let hook = match request.uri().path() {
            POST_CLUSTER_MODIFY => Hook::Cluster,
            POST_TRANSLATE_MODIFY => Hook::Translate,
            path => {
                let status = Status::unimplemented(format!("not supported: the hook {path}"));
                return Box::pin(std::future::ready(Ok(status.into_http())));
            }
        };
        let call = Call(self.clone(), hook);
        Box::pin(async move {
            let mut grpc = Grpc::new(Plain)
                .max_decoding_message_size(MAX_MESSAGE_BYTES)
                .max_encoding_message_size(MAX_MESSAGE_BYTES);
            Ok(grpc.unary(call, request).await)
        })
    }
}

/// Messages as they are.
#[derive(Debug, Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; message.remaining()];
        message.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}
