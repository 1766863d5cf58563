use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

mod parting;

/// Longer than any limit under test; only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Short enough for a test, long enough for a busy machine to answer a request.
const LIMITS: Limits = Limits {
    max_connections: 100,
    header_timeout: Duration::from_millis(300),
    max_header_bytes: 16 << 10,
    peer_timeout: Duration::from_millis(1000),
};

/// Serves `router` until the test ends.
async fn start(router: Router) -> SocketAddr {
    start_until(router, &Shutdown::new()).await
}

/// Serves `router` until `shutdown` drains.
async fn start_until(router: Router, shutdown: &Shutdown) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    shutdown.spawn(serve(listener, TowerToHyperService::new(router), None, LIMITS, shutdown.clone()));
    address
}

/// What the server says until it closes the connection of a client that sent `text` and nothing more.
async fn answer_to(text: &str) -> String {
    let slow = || tokio::time::sleep(LIMITS.header_timeout * 2);
    let address = start(Router::new().route("/slow", get(async move || slow().await))).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut answer)).await;
    read.expect("the connection is closed").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_let_go() {
    assert_eq!(answer_to("").await, "");
}

#[tokio::test]
async fn a_client_that_stops_inside_the_http2_preface_is_let_go() {
    assert_eq!(answer_to("PRI * HTTP/2").await, "");
}

#[tokio::test]
async fn a_client_that_stops_inside_a_head_is_let_go() {
    assert!(!answer_to("GET /slow HTTP/1.1\r\nhost").await.contains("200"));
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head() {
    // Shorter than the HTTP/2 preface, so that the head alone must settle which protocol it is.
    assert!(answer_to("GET /slow HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_let_go() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let of_body = Arc::clone(&dropped);
    let endless = move || {
        let guard = Dropped(Arc::clone(&of_body));
        async move {
            Body::from_stream(futures_util::stream::repeat_with(move || {
                let _of_the_stream = &guard;
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 65_536]))
            }))
        }
    };
    let address = start(Router::new().route("/endless", get(endless))).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !dropped.load(Ordering::SeqCst) {
        assert!(tokio::time::Instant::now() < deadline, "the answer is still being sent");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_http2_connection_carries_hundreds_of_streams() {
    const N_STREAMS: usize = 500;
    let all_here = Arc::new(tokio::sync::Barrier::new(N_STREAMS));
    let wait = Arc::clone(&all_here);
    let handler = async move || {
        wait.wait().await;
    };
    let address = start(Router::new().route("/wait", get(handler))).await;
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let requests = (0..N_STREAMS).map(|_| {
        let mut client = client.clone();
        let request = Request::get(format!("http://{address}/wait")).body(Body::empty()).unwrap();
        async move { client.send_request(request).await.unwrap().status().as_u16() }
    });
    let answers = tokio::time::timeout(PATIENCE, futures_util::future::join_all(requests)).await;
    assert_eq!(answers.expect("no stream waits for another to end"), [200; N_STREAMS]);
}
