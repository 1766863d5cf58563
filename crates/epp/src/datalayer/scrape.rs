//! The loop that scrapes one endpoint over a connection it keeps.
//!
//! Every step has a deadline and the page a bound. An endpoint that refuses three scrapes in a row, or lets ten
//! time out, is marked unreachable; the first other answer marks it reachable again. Silence counts less than
//! refusal, because an engine that is busy with a long prompt on few cores may be slow to answer. A gateway status
//! (502 to 504) is a refusal: the engine is loading, or gone behind a sidecar that lives. A page without metrics is
//! an error to count, not a sign of death: the engine behind it may serve well.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use llmd_common::report::Report;
use prometheus::Counter;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::datalayer::Scraping;
use crate::datalayer::extract::{EngineSpecs, Page};
use crate::datastore::Endpoint;
use crate::metrics::Metrics;

/// Sum of [`ScrapeError::suspicion`] at which an endpoint counts as gone.
const UNREACHABLE: u32 = 30;
/// For connecting, and again for the request with its whole answer.
const STEP: Duration = Duration::from_secs(1);
/// Longest page that is read.
const MAX_PAGE: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error("no answer in {STEP:?}")]
    Timeout,
    #[error("cannot shake hands")]
    Tls(#[source] io::Error),
    #[error("the connection failed")]
    Connection(#[from] hyper::Error),
    #[error("cannot make the request")]
    Request(#[from] http::Error),
    #[error("the answer has status {0}")]
    Status(http::StatusCode),
    #[error("the page is longer than {MAX_PAGE} bytes")]
    TooLong,
}

impl ScrapeError {
    /// How much this says that the engine is gone; 0 for an answer without metrics.
    fn suspicion(&self) -> u32 {
        match self {
            Self::Connect(_) | Self::Tls(_) | Self::Connection(_) => 10,
            Self::Status(status) if (502..=504).contains(&status.as_u16()) => 10,
            Self::Timeout => 3,
            Self::Request(_) | Self::Status(_) | Self::TooLong => 0,
        }
    }
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    /// Drives the socket for as long as this value lives.
    _driver: AbortOnDropHandle<()>,
}

/// Scrapes one endpoint.
pub struct Scraper {
    endpoint: Arc<Endpoint>,
    address: SocketAddr,
    host: String,
    tls: Option<TlsConnector>,
    uri: Uri,
    specs: Arc<EngineSpecs>,
    interval: Duration,
    poll_errors: Counter,
    extract_errors: Counter,
    connection: Option<Connection>,
}

impl std::fmt::Debug for Scraper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scraper").field("endpoint", &self.endpoint.host_port).finish_non_exhaustive()
    }
}

impl Scraper {
    /// A scraper that has not connected yet.
    #[must_use]
    pub fn new(endpoint: &Arc<Endpoint>, scraping: &Scraping, metrics: &Metrics) -> Self {
        let mut address = endpoint.spec.address;
        address.set_port(scraping.source.port.unwrap_or_else(|| address.port()));
        Self {
            endpoint: Arc::clone(endpoint),
            address,
            host: address.to_string(),
            tls: scraping.source.tls.clone().map(TlsConnector::from),
            uri: scraping.source.path.clone().into(),
            specs: scraping.extractor.specs(endpoint, scraping.reads_adapters),
            interval: scraping.source.interval.unwrap_or(scraping.interval),
            poll_errors: metrics.poll_errors("metrics-data-source"),
            extract_errors: metrics.extract_errors("metrics-data-source", "core-metrics-extractor"),
            connection: None,
        }
    }

    /// Scrapes for ever; dropping the future ends it at any point.
    pub async fn run(mut self) {
        // Scrapers start together when a file is loaded, and must not stay in step.
        tokio::time::sleep(self.interval.mul_f64(rand::random())).await;
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut suspicion: u32 = 0;
        loop {
            ticks.tick().await;
            let added = match self.scrape_keeping_connection().await {
                Ok(()) => 0,
                Err(error) => {
                    self.poll_errors.inc();
                    tracing::debug!(endpoint = %self.endpoint.host_port, error = %Report(&error), "scrape failed");
                    error.suspicion()
                }
            };
            suspicion = if added == 0 { 0 } else { suspicion.saturating_add(added) };
            self.report(suspicion);
        }
    }

    fn report(&self, suspicion: u32) {
        let (endpoint, state) = (&self.endpoint.host_port, &self.endpoint.state);
        if suspicion == 0 && !state.is_reachable() {
            tracing::info!(%endpoint, "endpoint answers again");
            state.set_reachable(true);
        } else if suspicion >= UNREACHABLE && state.is_reachable() {
            tracing::warn!(%endpoint, "endpoint does not answer");
            state.set_reachable(false);
        }
    }

    /// Scrapes over the connection of the last time, or a new one. A server may close an idle connection at any
    /// moment, so a failure on an old connection is tried once more on a new one.
    async fn scrape_keeping_connection(&mut self) -> Result<(), ScrapeError> {
        if let Some(connection) = self.connection.take().filter(|it| !it.sender.is_closed()) {
            match self.scrape(connection).await {
                Err(ScrapeError::Connection(_)) => {}
                result => return result,
            }
        }
        let connection = self.connect().await?;
        self.scrape(connection).await
    }

    async fn connect(&self) -> Result<Connection, ScrapeError> {
        let connecting = TcpStream::connect(self.address);
        let stream = timeout(STEP, connecting)
            .await
            .map_err(|_| ScrapeError::Timeout)?
            .map_err(ScrapeError::Connect)?;
        stream.set_nodelay(true).map_err(ScrapeError::Connect)?;
        match &self.tls {
            None => speak_http(stream).await,
            Some(tls) => {
                let handshake = tls.connect(self.address.ip().into(), stream);
                let stream = timeout(STEP, handshake).await.map_err(|_| ScrapeError::Timeout)?;
                speak_http(stream.map_err(ScrapeError::Tls)?).await
            }
        }
    }

    async fn scrape(&mut self, mut connection: Connection) -> Result<(), ScrapeError> {
        let request = Request::get(self.uri.clone())
            .header(header::HOST, &self.host)
            .header(header::ACCEPT, "text/plain")
            .body(Empty::new())?;
        let answer = async {
            let response = connection.sender.send_request(request).await?;
            if !response.status().is_success() {
                return Err(ScrapeError::Status(response.status()));
            }
            self.read(response.into_body()).await
        };
        timeout(STEP, answer).await.map_err(|_| ScrapeError::Timeout)??;
        self.connection = Some(connection);
        Ok(())
    }

    async fn read(&self, mut body: Incoming) -> Result<(), ScrapeError> {
        let mut reader = self.specs.reader();
        let mut n_bytes = 0;
        while let Some(frame) = body.frame().await {
            let Ok(chunk) = frame?.into_data() else { continue };
            n_bytes += chunk.len();
            if n_bytes > MAX_PAGE {
                return Err(ScrapeError::TooLong);
            }
            reader.feed(&chunk);
        }
        let state = &self.endpoint.state;
        let Page { metrics, adapters, lacks_gauge } = reader.finish(state.metrics());
        state.set_metrics(metrics);
        if let Some(adapters) = adapters {
            state.set_adapters(adapters);
        }
        if lacks_gauge {
            self.extract_errors.inc();
        }
        Ok(())
    }
}

async fn speak_http<S>(stream: S) -> Result<Connection, ScrapeError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the connection's handle, so nothing needs to wait for it.
    let driver = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "connection to an endpoint ended");
        }
    });
    Ok(Connection { sender, _driver: AbortOnDropHandle::new(driver) })
}
