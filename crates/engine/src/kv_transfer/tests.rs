//! Two engines on loopback, and peers that misbehave.

use std::sync::Arc;
use std::time::Duration;

use llmd_api::kv_transfer::KvTransferParams;
use llmd_kv::hash::BlockHash;
use prometheus::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::frame::{self, Message};
use super::metrics::TransferMetrics;
use super::native::{LeaseTimes, NativeConfig, NativeConnector, PullTimes};
use super::{KvConnector, LeaseId, Offer, OfferedBlock, Pull, PullError, Pulled, TransferEvent};
use crate::kv_cache::{BlockId, KvDtype, KvLayout, KvPage};
use crate::request::{Command, SequenceId, command_channel};

const LAYOUT: KvLayout =
    KvLayout { n_layers: 3, n_kv_heads: 2, head_dim: 4, block_size: 4, dtype: KvDtype::F32 };
const SEQUENCE: SequenceId = SequenceId(1);

struct Engine {
    connector: NativeConnector,
    commands: mpsc::Receiver<Command>,
    metrics: TransferMetrics,
    _stop: DropGuard,
}

async fn engine(fingerprint: &str) -> Engine {
    engine_with(fingerprint, LeaseTimes::default()).await
}

async fn engine_with(fingerprint: &str, lease: LeaseTimes) -> Engine {
    let (sender, commands) = command_channel();
    let metrics = TransferMetrics::new(&Registry::new(), "m", 0);
    let stop = CancellationToken::new();
    let config = NativeConfig {
        host: "127.0.0.1".to_owned(),
        port: 0,
        engine_id: uuid::Uuid::new_v4().to_string(),
        fingerprint: fingerprint.to_owned(),
        layout: LAYOUT,
        lease,
        pull: PullTimes {
            connect: Duration::from_millis(500),
            idle: Duration::from_millis(300),
            total: Duration::from_secs(2),
        },
    };
    let connector = NativeConnector::start(config, sender, metrics.clone(), stop.clone()).await.unwrap();
    Engine { connector, commands, metrics, _stop: stop.drop_guard() }
}

impl Engine {
    async fn next_event(&mut self) -> TransferEvent {
        let command = tokio::time::timeout(Duration::from_secs(5), self.commands.recv()).await;
        match command.expect("an event within the deadline") {
            Some(Command::Transfer(event)) => event,
            other => panic!("unexpected {other:?}"),
        }
    }

    async fn pulled(&mut self) -> Result<Pulled, PullError> {
        match self.next_event().await {
            TransferEvent::PullEnded { id: SEQUENCE, result } => result,
            other => panic!("unexpected {other:?}"),
        }
    }

    async fn ended_lease(&mut self) -> LeaseId {
        match self.next_event().await {
            TransferEvent::LeaseEnded { lease } => lease,
            other @ TransferEvent::PullEnded { .. } => panic!("unexpected {other:?}"),
        }
    }
}

fn page(seed: u8) -> KvPage {
    let mut page = KvPage::zeroed(&LAYOUT);
    for (idx, byte) in page.bytes_mut().iter_mut().enumerate() {
        // Small exponents keep every pattern a normal number, so that pages compare equal to themselves.
        *byte = if idx % 4 == 3 { 0 } else { u8::try_from(idx % 251).unwrap() ^ seed };
    }
    page
}

fn offer(n_blocks: u8) -> Offer {
    let blocks = (0..n_blocks)
        .map(|it| OfferedBlock {
            id: BlockId(u32::from(it) + 1),
            hash: BlockHash([it; 32]),
            page: Arc::new(page(it)),
        })
        .collect();
    Offer { request_id: "r".to_owned(), n_tokens: u32::from(n_blocks) * 4, blocks }
}

fn pull(params: KvTransferParams, first_block: usize, n_blocks: u8) -> Pull {
    Pull { id: SEQUENCE, params, hashes: (0..n_blocks).map(|it| BlockHash([it; 32])).collect(), first_block }
}

#[tokio::test]
async fn pages_arrive_as_they_were_and_the_lease_ends() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    for first_block in [0, 2] {
        let (lease, params) = producer.connector.offer(offer(4));
        consumer.connector.keep_alive(SEQUENCE, &params);
        consumer.connector.pull(pull(params, first_block, 4)).unwrap();
        let pages = consumer.pulled().await.unwrap().pages;
        let expected: Vec<KvPage> = (0..4).skip(first_block).map(page).collect();
        assert!(pages.iter().map(AsRef::as_ref).eq(expected.iter()));
        assert_eq!(producer.ended_lease().await, lease);
    }
    assert_eq!(consumer.metrics.blocks.get(), 4 + 2);
    assert_eq!(consumer.metrics.bytes.get(), 6 * LAYOUT.page_bytes() as u64);
    assert_eq!(producer.metrics.offers.get(), 2);
}

#[tokio::test]
async fn a_forged_capability_reads_nothing() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    let (_, mut params) = producer.connector.offer(offer(2));
    params.remote_cap = Some("0".repeat(32));
    consumer.connector.pull(pull(params, 0, 2)).unwrap();
    assert_eq!(consumer.pulled().await.unwrap_err(), PullError::Unknown);
    assert_eq!(consumer.metrics.failure(PullError::Unknown).get(), 1);
}

#[tokio::test]
async fn blocks_of_another_prompt_are_refused() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    let (_, params) = producer.connector.offer(offer(2));
    let mut wrong = pull(params, 0, 2);
    wrong.hashes[1] = BlockHash([99; 32]);
    consumer.connector.pull(wrong).unwrap();
    assert_eq!(consumer.pulled().await.unwrap_err(), PullError::Content);
}

#[tokio::test]
async fn another_model_is_refused_by_either_side() {
    let (mut producer, mut consumer) = (engine("one").await, engine("two").await);
    let (_, mut params) = producer.connector.offer(offer(1));
    consumer.connector.pull(pull(params.clone(), 0, 1)).unwrap();
    assert_eq!(consumer.pulled().await.unwrap_err(), PullError::Mismatch);
    // Lying in the parameters does not help: the handshake compares again.
    params.remote_model_fp = Some("two".to_owned());
    consumer.connector.pull(pull(params, 0, 1)).unwrap();
    assert_eq!(consumer.pulled().await.unwrap_err(), PullError::Mismatch);
}

#[tokio::test]
async fn parameters_of_another_transport_are_refused_at_once() {
    let mut consumer = engine("f").await;
    let params = KvTransferParams { do_remote_prefill: true, ..KvTransferParams::default() };
    consumer.connector.keep_alive(SEQUENCE, &params);
    assert_eq!(consumer.connector.pull(pull(params, 0, 1)), Err(PullError::Foreign));
}

#[tokio::test]
async fn a_restarted_producer_is_unknown() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    let (_, mut params) = producer.connector.offer(offer(1));
    params.remote_engine_id = Some("the engine before".to_owned());
    consumer.connector.pull(pull(params, 0, 1)).unwrap();
    assert_eq!(consumer.pulled().await.unwrap_err(), PullError::Unknown);
}

#[tokio::test]
async fn a_dead_producer_is_a_connection_error() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    let (_, params) = producer.connector.offer(offer(1));
    drop(producer);
    tokio::time::sleep(Duration::from_millis(50)).await;
    consumer.connector.pull(pull(params, 0, 1)).unwrap();
    assert_eq!(consumer.pulled().await.unwrap_err(), PullError::Connection);
}

#[tokio::test]
async fn an_unclaimed_offer_expires_and_a_renewed_one_lives() {
    let lease = LeaseTimes { duration: Duration::from_millis(600), extension: Duration::from_millis(600) };
    let (mut producer, mut consumer) = (engine_with("f", lease).await, engine_with("f", lease).await);
    let (abandoned, _) = producer.connector.offer(offer(1));
    let (renewed, params) = producer.connector.offer(offer(2));
    consumer.connector.keep_alive(SEQUENCE, &params);
    assert_eq!(producer.ended_lease().await, abandoned);
    tokio::time::sleep(lease.duration * 2).await;
    consumer.connector.release(SEQUENCE);
    assert_eq!(producer.ended_lease().await, renewed);
    assert!(producer.commands.try_recv().is_err(), "each lease ends once");
}

#[tokio::test]
async fn cancelling_ends_the_pull_and_the_lease() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    let (lease, params) = producer.connector.offer(offer(200));
    consumer.connector.pull(pull(params, 0, 200)).unwrap();
    consumer.connector.cancel(SEQUENCE);
    assert_eq!(consumer.pulled().await.unwrap_err(), PullError::Cancelled);
    assert_eq!(producer.ended_lease().await, lease);
}

/// Stands between a consumer and the producer at `port`. Closes the first connection at its second message, as a
/// producer does that gave the connection up while the message was under way.
async fn closing_proxy(port: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy_port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut consumer, _) = listener.accept().await.unwrap();
        let mut producer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        for _handshake_and_first_message in 0..2 {
            frame::send(&mut producer, &frame::expect_message(&mut consumer).await.unwrap()).await.unwrap();
            frame::send(&mut consumer, &frame::expect_message(&mut producer).await.unwrap()).await.unwrap();
        }
        frame::expect_message(&mut consumer).await.unwrap();
        drop(consumer);
        let (mut consumer, _) = listener.accept().await.unwrap();
        let mut producer = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _: Result<_, _> = tokio::io::copy_bidirectional(&mut consumer, &mut producer).await;
    });
    proxy_port
}

#[tokio::test]
async fn a_pooled_connection_that_the_producer_closed_costs_nothing() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    let proxy_port = closing_proxy(producer.connector.port()).await;
    let through_proxy = |params| KvTransferParams { remote_port: Some(proxy_port), ..params };
    let (released, params) = producer.connector.offer(offer(1));
    consumer.connector.keep_alive(SEQUENCE, &through_proxy(params));
    consumer.connector.release(SEQUENCE);
    assert_eq!(producer.ended_lease().await, released);
    // The answer to the release goes back into the pool with its connection.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (_, params) = producer.connector.offer(offer(2));
    consumer.connector.pull(pull(through_proxy(params), 0, 2)).unwrap();
    assert_eq!(consumer.pulled().await.unwrap().pages.len(), 2);
}

#[tokio::test]
async fn a_lease_is_not_renewed_for_ever() {
    let lease = LeaseTimes { duration: Duration::from_millis(60), extension: Duration::from_millis(60) };
    let (mut producer, mut consumer) = (engine_with("f", lease).await, engine_with("f", lease).await);
    let (waiting, params) = producer.connector.offer(offer(1));
    consumer.connector.keep_alive(SEQUENCE, &params);
    assert_eq!(producer.ended_lease().await, waiting);
}

/// What a misbehaving producer does after the handshake and the first message.
#[derive(Clone, Copy)]
enum Fault {
    Stall,
    Close,
    CloseInsidePage,
    Garbage,
    WrongOrder,
}

/// A producer that answers the handshake and then misbehaves.
async fn faulty_producer(fault: Fault) -> KvTransferParams {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let hello = frame::expect_message(&mut stream).await.unwrap();
        frame::send(&mut stream, &hello).await.unwrap();
        frame::expect_message(&mut stream).await.unwrap();
        let granted = Message::Granted { n_blocks: 2, page_bytes: LAYOUT.page_bytes() };
        let slice = vec![0; LAYOUT.page_bytes() / LAYOUT.n_layers];
        match fault {
            Fault::Stall => tokio::time::sleep(Duration::from_secs(60)).await,
            Fault::Close => {}
            Fault::CloseInsidePage => {
                frame::send(&mut stream, &granted).await.unwrap();
                stream.write_all(&frame::page_prefix(0, 0, slice.len()).unwrap()).await.unwrap();
                stream.write_all(&slice[..10]).await.unwrap();
            }
            Fault::Garbage => stream.write_all(&[0xff; 64]).await.unwrap(),
            Fault::WrongOrder => {
                frame::send(&mut stream, &granted).await.unwrap();
                stream.write_all(&frame::page_prefix(0, 1, slice.len()).unwrap()).await.unwrap();
                stream.write_all(&slice).await.unwrap();
                // Closing with unread input would reset the connection and hide what was sent.
                let _: Result<usize, _> = stream.read(&mut [0; 64]).await;
            }
        }
    });
    // The echoed handshake carries the consumer's own engine id, so the test names that one.
    KvTransferParams {
        do_remote_prefill: true,
        remote_host: Some("127.0.0.1".to_owned()),
        remote_port: Some(port),
        remote_proto: Some(llmd_api::kv_transfer::NATIVE_PROTO.to_owned()),
        remote_cap: Some("c".to_owned()),
        remote_model_fp: Some("f".to_owned()),
        ..KvTransferParams::default()
    }
}

#[tokio::test]
async fn whatever_the_producer_does_the_pull_ends_in_an_error() {
    for (fault, expected) in [
        (Fault::Stall, PullError::Timeout),
        (Fault::Close, PullError::Connection),
        (Fault::CloseInsidePage, PullError::Connection),
        (Fault::Garbage, PullError::Protocol),
        (Fault::WrongOrder, PullError::Protocol),
    ] {
        let mut consumer = engine("f").await;
        let (_, own) = consumer.connector.offer(offer(1));
        let params =
            KvTransferParams { remote_engine_id: own.remote_engine_id, ..faulty_producer(fault).await };
        consumer.connector.pull(pull(params, 0, 2)).unwrap();
        assert_eq!(consumer.pulled().await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn a_consumer_that_talks_nonsense_does_not_disturb_the_others() {
    let (mut producer, mut consumer) = (engine("f").await, engine("f").await);
    let mut stranger = TcpStream::connect(("127.0.0.1", producer.connector.port())).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (_, params) = producer.connector.offer(offer(2));
    consumer.connector.pull(pull(params, 0, 2)).unwrap();
    assert_eq!(consumer.pulled().await.unwrap().pages.len(), 2);
}
