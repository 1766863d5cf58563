//! Several ranks in one process: behind one port, and each behind its own.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::server::{CHAT, Server, config, golden};

const RANK: &str = "x-data-parallel-rank";
const FINISHED: &str = "vllm:request_success_total";

/// The first golden chat as a request, and its answer.
fn chat() -> (Value, Value) {
    let case = golden()["chat"][0].clone();
    let body =
        json!({ "model": "llmd-tiny", "messages": case["messages"], "temperature": 0, "max_tokens": 96 });
    (body, case["text"].clone())
}

/// Requests that this rank has finished.
async fn finished(server: &Server, rank: u32) -> f64 {
    let text = server.get("/metrics").await.text();
    let label = format!("engine=\"{rank}\"");
    let samples = text.lines().filter(|it| it.starts_with(FINISHED) && it.contains(&label));
    let values: Vec<f64> = samples.map(|it| it.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(!values.is_empty(), "no {FINISHED} of rank {rank} in\n{text}");
    values.iter().sum()
}

#[tokio::test]
async fn ranks_behind_one_port_answer_alike_and_count_apart() {
    let server = Server::start(&["-dp", "4", "-dph", "-dpl", "2", "-dpr", "2", "--dtype", "float32"]).await;
    let (body, text) = chat();
    for (asked, expected) in [("2", [1.0, 0.0]), ("3", [1.0, 1.0]), ("3", [1.0, 2.0])] {
        let reply = server.post_with(CHAT, &[(RANK, asked)], &body).await;
        assert_eq!(reply.json()["choices"][0]["message"]["content"], text);
        assert_eq!([finished(&server, 2).await, finished(&server, 3).await], expected, "rank {asked}");
    }
    // Idle ranks take turns, and a rank that is not here is no reason to fail.
    for asked in ["0", "two", "9"] {
        assert_eq!(server.post_with(CHAT, &[(RANK, asked)], &body).await.status, StatusCode::OK);
    }
    let (second, third) = (finished(&server, 2).await, finished(&server, 3).await);
    assert_eq!(second + third, 6.0);
    assert!(second > 1.0 && third > 2.0, "{second} and {third}");
}

#[tokio::test]
async fn a_rank_of_its_own_process_says_which_one_it_is() {
    let server = Server::start(&["-dp", "4", "--data-parallel-rank", "3", "--dtype", "float32"]).await;
    let (body, text) = chat();
    assert_eq!(server.ask(CHAT, &body).await["choices"][0]["message"]["content"], text);
    assert_eq!(finished(&server, 3).await, 1.0);
}

#[tokio::test]
async fn ranks_with_a_port_each_are_supervised_together() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let port = free.port().to_string();
    let config = config(&[
        "--data-parallel-size=2",
        "--data-parallel-multi-port-external-lb",
        "--data-parallel-supervisor-port",
        &port,
        "--dtype=float32",
    ]);
    let servers = Server::all_listening(&config).await;
    servers[0].load(config.clone()).await;
    let loading = servers[0].get_at(free, "/readyz").await;
    assert_eq!(loading.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(loading.text().starts_with("server 1: "), "{}", loading.text());

    let engines = servers[1].load(config).await;
    let (body, text) = chat();
    for (rank, server) in (0..).zip(&servers) {
        assert_eq!(server.ask(CHAT, &body).await["choices"][0]["message"]["content"], text);
        assert_eq!(finished(server, rank).await, 1.0);
    }
    assert_eq!(servers[0].get_at(free, "/health").await.status, StatusCode::OK);
    engines[0].shutdown().await;
    assert_eq!(servers[0].get_at(free, "/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
