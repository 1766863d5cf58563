//! What clients of a process that leaves see.

use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::*;
use crate::ready::Readiness;
use crate::shutdown::Times;

const TIMES: Times = Times { propagation: Duration::ZERO, drain: PATIENCE };

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// The shutdown of a server of `router`, and a client that is connected to it.
async fn connected(router: Router) -> (Shutdown, TcpStream) {
    let shutdown = Shutdown::new();
    let address = start_until(router, &shutdown).await;
    (shutdown, TcpStream::connect(address).await.unwrap())
}

async fn ask(client: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
}

/// Reads until the text contains `end`, or to the end of the connection when that is empty.
async fn read_until(client: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while end.is_empty() || !text.contains(end) {
        let n = tokio::time::timeout(PATIENCE, client.read(&mut buffer)).await.expect("more comes").unwrap();
        if n == 0 {
            assert!(end.is_empty(), "the connection ended after {text:?}");
            break;
        }
        text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
    }
    text
}

async fn finish(shutdown: &Shutdown) -> bool {
    shutdown.finish(&Readiness::new(), TIMES).await
}

#[tokio::test]
async fn an_answer_says_that_it_is_the_last_one() {
    let shutdown = Shutdown::new();
    let address = start_until(hello(), &shutdown).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    ask(&mut client, "/").await;
    assert!(!read_until(&mut client, "hello").await.contains("connection: close"));
    shutdown.leaving().cancel();
    ask(&mut client, "/").await;
    assert!(read_until(&mut client, "").await.contains("connection: close"));
    // Who has not heard of it yet is still served.
    let mut late = TcpStream::connect(address).await.unwrap();
    ask(&mut late, "/").await;
    assert!(read_until(&mut late, "").await.contains("hello"));
}

#[tokio::test]
async fn a_drain_that_nobody_announced_says_so_too() {
    let (shutdown, mut client) = connected(hello()).await;
    shutdown.draining().cancel();
    ask(&mut client, "/").await;
    assert!(read_until(&mut client, "").await.contains("connection: close"));
}

#[tokio::test]
async fn a_client_whose_stream_ends_in_the_drain_may_ask_once_more() {
    let (pieces, stream) = mpsc::channel::<&str>(1);
    let stream = futures_util::stream::unfold(stream, async |mut it| Some((it.recv().await?, it)));
    let body = Arc::new(std::sync::Mutex::new(Some(Body::from_stream(stream.map(Ok::<_, Infallible>)))));
    let streamed = async move || body.lock().unwrap().take().unwrap();
    let (shutdown, mut client) = connected(hello().route("/stream", get(streamed))).await;
    ask(&mut client, "/stream").await;
    pieces.send("begun").await.unwrap();
    assert!(!read_until(&mut client, "begun").await.contains("connection: close"));
    let talk = async {
        shutdown.draining().cancelled().await;
        pieces.send("over").await.unwrap();
        drop(pieces);
        read_until(&mut client, "0\r\n\r\n").await;
        ask(&mut client, "/").await;
        let last = read_until(&mut client, "").await;
        assert!(last.contains("hello") && last.contains("connection: close"), "{last:?}");
    };
    let ((), is_clean) = tokio::join!(talk, finish(&shutdown));
    assert!(is_clean);
}

#[tokio::test]
async fn who_has_just_connected_is_served() {
    let (shutdown, mut client) = connected(hello()).await;
    let talk = async {
        shutdown.draining().cancelled().await;
        ask(&mut client, "/").await;
        assert!(read_until(&mut client, "").await.contains("hello"));
    };
    let ((), is_clean) = tokio::join!(talk, finish(&shutdown));
    assert!(is_clean);
}

#[tokio::test]
async fn a_client_that_asks_nothing_holds_up_no_drain() {
    let (shutdown, mut client) = connected(hello()).await;
    ask(&mut client, "/").await;
    read_until(&mut client, "hello").await;
    assert!(shutdown.finish(&Readiness::new(), Times { drain: Duration::ZERO, ..TIMES }).await);
    assert_eq!(read_until(&mut client, "").await, "");
}
