use super::*;

fn parse(words: &[&str]) -> Result<Invocation, clap::Error> {
    let program = std::iter::once("llmd-engine");
    parse_from(program.chain(words.iter().copied()).map(OsString::from), "", "info".to_owned())
}

fn serve(words: &[&str]) -> (Box<ServeArgs>, Vec<String>) {
    let invocation = parse(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    (serve_args(invocation.command), invocation.inert)
}

fn serve_args(command: Command) -> Box<ServeArgs> {
    match command {
        Command::Serve(args) => args,
        Command::Bench(_) => panic!("parsed as bench"),
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().mut_subcommand("serve", inert::add).debug_assert();
}

#[test]
fn what_a_preset_passes_is_accepted() {
    let (args, inert) = serve(&[
        "serve",
        "/mnt/models",
        "--served-model-name",
        "llama",
        "publishers/ns/models/llama",
        "--port",
        "8001",
        "--disable-access-log-for-endpoints",
        "/health,/metrics,/ping",
        "--shutdown-timeout",
        "40",
        "--enable_ssl_refresh",
        "--no-disable-hybrid-kv-cache-manager",
        "--gpu-memory-util",
        "0.9",
    ]);
    assert_eq!(args.model_tag.as_deref(), Some("/mnt/models"));
    assert_eq!(args.model.served_model_name, ["llama", "publishers/ns/models/llama"]);
    assert_eq!((args.http.port, args.http.shutdown_timeout), (8001, 40));
    let expected = [
        "--disable-hybrid-kv-cache-manager",
        "--enable-ssl-refresh",
        "--disable-access-log-for-endpoints",
        "--gpu-memory-utilization",
    ];
    assert_eq!(inert, expected);
}

#[test]
fn flags_that_would_change_answers_are_refused() {
    for words in [
        &["--enable-lora"][..],
        &["--quantization", "fp8"],
        &["--hf-overrides", r#"{"rope_theta":1}"#],
        &["--hf-overrides.rope_theta", "1"],
        &["--lora-modules", "a=/b"],
        &["--task", "embed"],
    ] {
        let error = parse(&[&["serve", "m"], words].concat()).expect_err("refused").to_string();
        assert!(error.contains("not supported") && error.trim().lines().count() == 1, "{error}");
    }
    let harmless = ["serve", "m", "--no-enable-lora", "--hf-overrides", "{}", "--task=generate"];
    assert_eq!(serve(&harmless).1, ["--enable-lora", "--hf-overrides", "--task"]);
}

#[test]
fn unambiguous_prefixes_and_underscores_are_options() {
    let (args, _) = serve(&["serve", "m", "--max-num-batched-token=4K", "--max_num_seqs", "8"]);
    assert_eq!((args.scheduler.max_num_batched_tokens, args.scheduler.max_num_seqs), (4096, 8));
}

#[test]
fn switches_can_be_negated_and_the_last_value_wins() {
    let (args, _) = serve(&["serve", "m", "--no-enable-prefix-caching", "--port", "1", "--port", "2"]);
    assert!(!args.cache.enable_prefix_caching);
    assert_eq!(args.http.port, 2);
    let (args, _) = serve(&["serve", "m", "--no-enable-prefix-caching", "--enable-prefix-caching"]);
    assert!(args.cache.enable_prefix_caching);
    let (args, _) = serve(&["serve", "m", "--served-model-name", "a", "b", "--served-model-name", "c"]);
    assert_eq!(args.model.served_model_name, ["c"]);
}

#[test]
fn lengths_may_be_negative_or_auto() {
    for text in ["-1", "auto"] {
        let (args, _) = serve(&["serve", "m", "--max-model-len", text]);
        assert_eq!(args.model.max_model_len, Length::Auto);
    }
}

#[test]
fn dotted_keys_make_the_transfer_config() {
    let (args, _) = serve(&["serve", "m", "--kv-transfer-config.kv_connector", "NixlConnector"]);
    assert_eq!(args.cache.kv_transfer_config.as_deref(), Some(r#"{"kv_connector":"NixlConnector"}"#));
}

#[test]
fn additional_arguments_come_before_those_typed() {
    let words = ["vllm", "serve", "m", "--port", "2"].map(OsString::from);
    let invocation = parse_from(words, "--port 1 --block-size 32", "info".to_owned()).unwrap();
    let args = serve_args(invocation.command);
    assert_eq!((args.http.port, args.cache.block_size), (2, 32));
}

#[test]
fn unknown_flags_and_wrong_values_end_with_status_2() {
    for words in [&["serve", "m", "--frobnicate"][..], &["serve", "m", "--port", "x"], &["dance"]] {
        let error = parse(words).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{words:?}");
        assert!(error.to_string().contains(words.last().unwrap()), "{error}");
    }
}

#[test]
fn the_version_ends_with_a_vllm_release() {
    let text = parse(&["--version"]).unwrap_err().to_string();
    let last = text.lines().last().unwrap().split(' ').next_back().unwrap();
    let release: Vec<u32> = last.split('.').map(|it| it.parse().unwrap()).collect();
    assert!(release >= vec![0, 22], "{text}");
}
