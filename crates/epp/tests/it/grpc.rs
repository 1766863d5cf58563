//! A gateway's side of an ext_proc stream.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
use envoy_types::pb::envoy::service::ext_proc::v3::body_mutation::Mutation;
use envoy_types::pb::envoy::service::ext_proc::v3::external_processor_client::ExternalProcessorClient;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, HeaderMutation, HttpBody, HttpHeaders, ImmediateResponse, ProcessingRequest,
    ProcessingResponse, StreamedBodyResponse,
};
use http::Uri;
use hyper_util::rt::TokioIo;
use llmd_common::tls::client::{Trust, config};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::within;

pub(crate) const POST: &[(&str, &str)] = &[(":method", "POST"), (":path", "/v1/completions")];
pub(crate) const GET: &[(&str, &str)] = &[(":method", "GET"), (":path", "/v1/models")];

pub(crate) struct Call {
    messages: mpsc::Sender<ProcessingRequest>,
    answers: Streaming<ProcessingResponse>,
}

impl Call {
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let client = ExternalProcessorClient::connect(format!("http://{address}")).await.unwrap();
        Self::over(client).await
    }

    pub(crate) async fn start_gzip(address: SocketAddr) -> Self {
        let client = ExternalProcessorClient::connect(format!("http://{address}")).await.unwrap();
        Self::over(client.send_compressed(CompressionEncoding::Gzip)).await
    }

    /// Over TLS with HTTP/2, without looking at the certificate, as gateways do.
    pub(crate) async fn start_tls(address: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let channel = endpoint.connect_with_connector(TlsWithoutVerification { address }).await.unwrap();
        Self::over(ExternalProcessorClient::new(channel)).await
    }

    async fn over(mut client: ExternalProcessorClient<Channel>) -> Self {
        let (messages, outbound) = mpsc::channel(16);
        let answers = client.process(ReceiverStream::new(outbound)).await.unwrap().into_inner();
        Self { messages, answers }
    }

    async fn send(&self, request: Request) {
        let message = ProcessingRequest { request: Some(request), ..ProcessingRequest::default() };
        self.messages.send(message).await.unwrap();
    }

    pub(crate) async fn request_headers(&self, pairs: &[(&str, &str)], end_of_stream: bool) {
        self.send(Request::RequestHeaders(headers(pairs, end_of_stream))).await;
    }

    pub(crate) async fn request_body(&self, text: &str, end_of_stream: bool) {
        self.send(Request::RequestBody(body(text, end_of_stream))).await;
    }

    pub(crate) async fn response_headers(&self, pairs: &[(&str, &str)], end_of_stream: bool) {
        self.send(Request::ResponseHeaders(headers(pairs, end_of_stream))).await;
    }

    pub(crate) async fn response_body(&self, text: &str, end_of_stream: bool) {
        self.send(Request::ResponseBody(body(text, end_of_stream))).await;
    }

    pub(crate) async fn next(&mut self) -> Result<ProcessingResponse, Status> {
        within("ext_proc answer", self.answers.message()).await.map(|it| it.expect("an answer, not the end"))
    }

    /// The next answer's header change and the whole answer, which must be to request or response headers.
    pub(crate) async fn next_headers(&mut self) -> (HeaderMutation, ProcessingResponse) {
        let answer = self.next().await.unwrap();
        let (Some(Response::RequestHeaders(headers)) | Some(Response::ResponseHeaders(headers))) =
            &answer.response
        else {
            panic!("{answer:?}");
        };
        (headers.response.clone().unwrap().header_mutation.unwrap(), answer)
    }

    pub(crate) async fn next_body(&mut self) -> StreamedBodyResponse {
        let answer = self.next().await.unwrap();
        let (Some(Response::RequestBody(BodyResponse { response }))
        | Some(Response::ResponseBody(BodyResponse { response }))) = answer.response
        else {
            panic!("{answer:?}");
        };
        match response.unwrap().body_mutation.unwrap().mutation {
            Some(Mutation::StreamedResponse(piece)) => piece,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn next_immediate(&mut self) -> ImmediateResponse {
        let answer = self.next().await.unwrap();
        match answer.response {
            Some(Response::ImmediateResponse(immediate)) => immediate,
            other => panic!("{other:?}"),
        }
    }

    /// Checks that the service holds back.
    pub(crate) async fn expect_silence(&mut self) {
        let pause = Duration::from_millis(50);
        if let Ok(answer) = tokio::time::timeout(pause, self.answers.message()).await {
            panic!("too early: {answer:?}");
        }
    }

    /// Ends the stream as Envoy does after a response and checks that the service ends it too.
    pub(crate) async fn finish(self) {
        let Self { messages, mut answers } = self;
        drop(messages);
        assert_eq!(within("end of the stream", answers.message()).await.unwrap(), None);
    }
}

/// Connects to one address whatever certificate it shows.
#[derive(Debug)]
struct TlsWithoutVerification {
    address: SocketAddr,
}

impl Service<Uri> for TlsWithoutVerification {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let address = self.address;
        Box::pin(async move {
            let mut config = config(&Trust::Anybody, None).expect("anybody is trusted");
            config.alpn_protocols = vec![b"h2".to_vec()];
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::IpAddress(address.ip().into());
            let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            Ok(TokioIo::new(stream))
        })
    }
}

pub(crate) fn value(mutation: &HeaderMutation, name: &str) -> Option<String> {
    let header = mutation.set_headers.iter().filter_map(|it| it.header.as_ref()).find(|it| it.key == name)?;
    Some(String::from_utf8(header.raw_value.clone()).unwrap())
}

fn headers(pairs: &[(&str, &str)], end_of_stream: bool) -> HttpHeaders {
    let header = |&(key, value): &(&str, &str)| HeaderValue {
        key: key.to_owned(),
        raw_value: value.as_bytes().to_vec(),
        ..HeaderValue::default()
    };
    let headers = Some(HeaderMap { headers: pairs.iter().map(header).collect() });
    HttpHeaders { headers, end_of_stream, ..HttpHeaders::default() }
}

fn body(text: &str, end_of_stream: bool) -> HttpBody {
    HttpBody { body: text.as_bytes().to_vec(), end_of_stream, ..HttpBody::default() }
}
