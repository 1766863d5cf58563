use std::convert::Infallible;
use std::net::SocketAddr;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::proxy::upstream;
use crate::serve::{Limits, serve};
use crate::shutdown::Shutdown;

/// Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that reads bodies of up to 1000 bytes and answers with their length or 413.
async fn reader() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = service_fn(async |request: Request<Incoming>| {
        let (status, text) = match read(request.into_body(), 1000).await {
            Ok(body) => (StatusCode::OK, body.len().to_string()),
            Err(error) => (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
        };
        Ok::<_, Infallible>(Response::builder().status(status).body(Full::<Bytes>::from(text)).unwrap())
    });
    tokio::spawn(serve(listener, service, None, Limits::default(), Shutdown::new()));
    address
}

/// Sends all of `request`, and only then reads the first bytes of the answer.
async fn send_then_read(request: Vec<u8>) -> String {
    let mut client = TcpStream::connect(reader().await).await.unwrap();
    let exchange = async {
        client.write_all(&request).await.expect("the server takes the whole request");
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    tokio::time::timeout(PATIENCE, exchange).await.expect("the exchange ends")
}

const LARGE: usize = 10 << 20;

#[tokio::test]
async fn a_client_that_announces_too_much_gets_to_read_why() {
    let mut request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {LARGE}\r\n\r\n").into_bytes();
    request.resize(request.len() + LARGE, b'x');
    assert_eq!(send_then_read(request).await, "HTTP/1.1 413");
}

#[tokio::test]
async fn a_client_whose_chunks_become_too_much_gets_to_read_why() {
    let mut request = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..LARGE / 0xffff {
        request.extend_from_slice(b"ffff\r\n");
        request.resize(request.len() + 0xffff, b'x');
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\nx-trailer: 1\r\n\r\n");
    assert_eq!(send_then_read(request).await, "HTTP/1.1 413");
}

#[tokio::test]
async fn bodies_within_the_limit_are_whole_whatever_their_framing() {
    let chunked = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n\
                   1;ext=1\r\na\r\n0003\r\nbcd\r\n0\r\nx-trailer: 1\r\n\r\n";
    assert_eq!(send_then_read(chunked.into()).await, "HTTP/1.1 200");
    let whole = format!("POST / HTTP/1.0\r\ncontent-length: 1000\r\n\r\n{}", "x".repeat(1000));
    assert_eq!(send_then_read(whole.into()).await, "HTTP/1.0 200");
}

#[tokio::test]
async fn a_response_that_falls_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await.unwrap();
        // Slower than the limit in all, but never silent for as long.
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            stream.write_all(b"x").await.unwrap();
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await
    });
    let client = upstream::client::<_, Full<Bytes>>(upstream::tcp(PATIENCE), 1);
    let response = client.get(format!("http://{address}/").parse().unwrap()).await.unwrap();
    let mut body = ResponseStream::new(response.into_body(), Some(Duration::from_millis(300)));
    let mut n_bytes = 0;
    let error = loop {
        match tokio::time::timeout(PATIENCE, body.frame()).await.expect("the silence ends").unwrap() {
            Ok(frame) => n_bytes += frame.into_data().unwrap().len(),
            Err(error) => break error,
        }
    };
    assert_eq!((n_bytes, error.to_string().as_str()), (4, "nothing more of the response came within 0.3 s"));
    drop(body);
    tokio::time::timeout(PATIENCE, server).await.expect("the connection is closed").unwrap().ok();
}
