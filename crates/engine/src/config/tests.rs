use std::ffi::OsString;

use super::*;
use crate::args::{Command, parse_from};
use crate::config::cache::FullBatch;
use crate::config::memory::MemoryInfo;
use crate::kv_cache::{KvDtype, KvLayout};

fn config(flags: &[&str]) -> Result<Config, ConfigError> {
    let words = ["llmd-engine", "serve", "/models/m"].into_iter().chain(flags.iter().copied());
    let invocation = parse_from(words.map(OsString::from), "", "info".to_owned()).unwrap();
    match invocation.command {
        Command::Serve(args) => Config::try_from(*args),
        Command::Bench(_) => panic!("parsed as bench"),
    }
}

#[track_caller]
fn check_error(flags: &[&str], part: &str) {
    let error = config(flags).unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

#[test]
fn defaults_are_those_of_vllm_on_a_cpu() {
    let config = config(&[]).unwrap();
    assert_eq!(config.model.served_names.iter().collect::<Vec<_>>(), ["/models/m"]);
    assert_eq!((config.http.port, config.cache.block_size), (8000, 16));
    assert_eq!((config.scheduler.max_num_seqs, config.scheduler.max_num_batched_tokens), (128, 2048));
    assert_eq!(config.frontend.max_logprobs, Some(20));
    assert!(config.kv_transfer.is_none());
}

#[test]
fn what_cannot_be_done_is_refused_with_advice() {
    check_error(&["-tp", "2"], "--tensor-parallel-size: not supported: 2");
    check_error(&["--dtype", "float16"], "use auto, bfloat16 or float32");
    check_error(&["--kv-cache-dtype", "fp8"], "use auto, bfloat16 or float32");
    check_error(&["--kv-transfer-config", r#"{"kv_connector":"LMCache"}"#], "use NixlConnector");
    check_error(&["--kv-transfer-config", "{oops"], "not valid JSON");
    let nixl = r#"--kv-transfer-config={"kv_connector":"NixlConnector"}"#;
    for everywhere in ["0.0.0.0", "::"] {
        check_error(&[nixl, "--nixl-side-channel-host", everywhere], "peers are told this address");
    }
    check_error(&["--ssl-certfile", "c.pem"], "needs --ssl-keyfile too");
    check_error(&["--root-path", "api"], "begins with a slash");
    check_error(&["--max-num-seqs", "0"], "must be at least 1");
    check_error(&["--cpu-kvcache-space", "much"], "no number of GiB");
    check_error(&["--max-logprobs", "-2"], "use -1 for no limit");
}

#[test]
fn the_transfer_config_is_that_of_the_nixl_connector() {
    let json = r#"{"kv_connector":"NixlConnector","kv_role":"kv_producer","engine_id":"e","kv_buffer_device":"cpu"}"#;
    let transfer = config(&["--kv-transfer-config", json]).unwrap().kv_transfer.unwrap();
    assert_eq!((transfer.role, transfer.engine_id.as_deref()), (KvRole::Producer, Some("e")));
}

const LAYOUT: KvLayout =
    KvLayout { n_layers: 1, n_kv_heads: 1, head_dim: 64, block_size: 16, dtype: KvDtype::F32 };

fn n_blocks(flags: &[&str], total_bytes: u64) -> Result<usize, ConfigError> {
    let batch = FullBatch { max_num_seqs: 2, max_model_len: 100 };
    config(flags).unwrap().cache.n_blocks(&LAYOUT, batch, MemoryInfo { total_bytes })
}

#[test]
fn the_cache_holds_what_was_asked_for_and_the_null_block() {
    let page = LAYOUT.page_bytes() as u64;
    assert_eq!(n_blocks(&["--num-gpu-blocks-override", "50"], u64::MAX), Ok(50));
    assert_eq!(n_blocks(&["--kv-cache-memory-bytes", &(10 * page).to_string()], u64::MAX), Ok(11));
    assert_eq!(
        n_blocks(&["--cpu-kvcache-space", "1"], u64::MAX),
        Ok((1 << 30) / usize::try_from(page).unwrap() + 1)
    );
    assert_eq!(n_blocks(&["--cpu-kvcache-space="], u64::MAX), Ok(15), "an empty variable says nothing");
    assert_eq!(n_blocks(&[], u64::MAX), Ok(15), "two sequences of seven blocks");
    assert_eq!(n_blocks(&[], 16 * page), Ok(5), "a quarter of the memory");
    assert!(n_blocks(&["--kv-cache-memory-bytes", "1"], u64::MAX).is_err());
}

#[test]
fn keys_are_compared_by_digest_and_never_shown() {
    let keys = ApiKeys::new(&["secret".to_owned()]);
    assert!(keys.contains("secret") && !keys.contains("secre") && !keys.is_open());
    assert_eq!(format!("{keys:?}"), "ApiKeys(1)");
}
