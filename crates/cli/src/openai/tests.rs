use super::*;
use axum::Router;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::routing::{get, post};

#[test]
fn a_chunk_of_any_server_is_read() {
    let text = |data: &str| parse_chunk(data).map(|it| it.text).map_err(|error| error.to_string());
    assert_eq!(text(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#).unwrap(), "");
    assert_eq!(text(r#"{"choices":[{"delta":{"content":"hé"}}],"usage":null}"#).unwrap(), "hé");
    assert_eq!(text(r#"{"choices":[{"delta":{"reasoning":"so","content":null}}]}"#).unwrap(), "so");
    assert_eq!(
        text(r#"{"error":{"message":"out of blocks"}}"#).unwrap_err(),
        "the endpoint failed: out of blocks"
    );
    assert!(text("{").unwrap_err().starts_with("the stream is malformed"));
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12,
                    "prompt_tokens_details":{"cached_tokens":4}}}"#;
    let details = Some(PromptDetails { cached_tokens: Some(4) });
    let expected = TokenCounts { prompt_tokens: 5, completion_tokens: 7, prompt_tokens_details: details };
    assert_eq!(parse_chunk(usage).unwrap().usage, Some(expected));
}

#[test]
fn a_refusal_carries_the_message() {
    let message = |body: &str| refusal(StatusCode::NOT_FOUND, body).to_string();
    let expected = "the endpoint answered 404 Not Found: no such model";
    assert_eq!(message(r#"{"error":{"message":"no such model","code":404}}"#), expected);
    assert_eq!(message(r#"{"message":"no such model"}"#), expected);
    assert_eq!(message(" no such model\n"), expected);
}

/// Serves what a model server would write, byte for byte.
async fn server(stream: &'static str) -> String {
    let models = r#"{"object":"list","data":[{"id":"tiny"},{"id":"other"}]}"#;
    let router = Router::new().route("/v1/models", get(move || async move { models })).route(
        "/v1/chat/completions",
        post(move |headers: HeaderMap, body: String| async move {
            assert_eq!(headers["authorization"], "Bearer secret");
            let request: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(request["stream_options"]["include_usage"], true);
            assert!(request.get("temperature").is_none());
            Body::from(stream)
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let limits = llmd_common::serve::Limits::default();
    let service = hyper_util::service::TowerToHyperService::new(router);
    tokio::spawn(llmd_common::serve::serve(
        listener,
        service,
        None,
        limits,
        llmd_common::shutdown::Shutdown::new(),
    ));
    url
}

async fn ask(url: &str) -> (String, Result<(), Error>) {
    let endpoint = Endpoint::new(url, Some("secret".into())).unwrap();
    let model = endpoint.model(None).await.unwrap();
    assert_eq!(model, "tiny");
    let messages = vec![Message { role: "user", content: "Hi".into() }];
    let request = ChatRequest { model, messages, temperature: None, max_tokens: None };
    let mut answer = endpoint.chat(&request).await.unwrap();
    let mut text = String::new();
    loop {
        match answer.next().await {
            Ok(Some(delta)) => text.push_str(&delta.text),
            Ok(None) => return (text, Ok(())),
            Err(error) => return (text, Err(error)),
        }
    }
}

#[tokio::test]
async fn an_answer_is_streamed_to_its_end() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n\
                  data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\ndata: [DONE]\n\n";
    let url = server(stream).await;
    let (text, end) = ask(&format!("{url}/v1/")).await;
    assert_eq!(text, "ab");
    end.unwrap();
}

#[tokio::test]
async fn a_stream_without_its_end_is_an_error() {
    let url = server("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n").await;
    let (text, end) = ask(&url).await;
    assert_eq!(text, "a");
    assert!(matches!(end, Err(Error::BrokeOff)));
}
