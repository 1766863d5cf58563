//! A TCP relay that lets a story do something after an answer was made and before anybody gets it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// An answer is whole when nothing follows for this long.
const PAUSE: Duration = Duration::from_millis(200);

/// Relays connections until it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens.
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Relays to `target`, `host:port`. `with_answer` is called whenever an answer has arrived from there, before
    /// it is passed on.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: &str, with_answer: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (target, with_answer) = (target.to_owned(), Arc::new(with_answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                let with_answer = Arc::clone(&with_answer);
                connections.spawn(async move {
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    // The end of either direction ends the other: both sides see a closed connection.
                    tokio::select! {
                        () = pass_on(from_client, to_server) => {}
                        () = hold_back(from_server, to_client, &*with_answer) => {}
                    }
                });
            }
        });
        Ok(Self { address, _tasks: tasks })
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    // A connection that breaks ends the relay of it, whatever the reason.
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn hold_back(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, with_answer: &(dyn Fn() + Send + Sync)) {
    loop {
        let mut answer = Vec::new();
        if !matches!(from.read_buf(&mut answer).await, Ok(1..)) {
            return;
        }
        while let Ok(Ok(1..)) = tokio::time::timeout(PAUSE, from.read_buf(&mut answer)).await {}
        with_answer();
        if to.write_all(&answer).await.is_err() {
            return;
        }
    }
}
