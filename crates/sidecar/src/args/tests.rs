use super::*;

fn parse(args: &[&str]) -> Result<Args, clap::Error> {
    Args::try_parse_from(std::iter::once(&"llmd-sidecar").chain(args))
}

#[test]
fn flags_parse_as_pflag_does() {
    let args = parse(&["--port=1", "--port", "2", "--secure-proxy=false", "--tracing", "-v=5", ""]).unwrap();
    assert_eq!(args.flags.port, Some(2));
    assert_eq!(args.flags.secure_proxy, Some(false));
    assert_eq!(args.flags.tracing, Some(true));
    assert_eq!(args.logging.verbosity, Some(5));
    assert!(parse(&["--secure-proxy", "false"]).is_err(), "a boolean takes its value after = only");
    assert!(parse(&["--no-such-flag"]).is_err());
    assert!(parse(&["stray"]).is_err());
}

#[test]
fn lists_repeat_or_use_commas() {
    let stages = Some(vec![Stage::Decoder, Stage::Prefiller]);
    assert_eq!(parse(&["--enable-tls=decoder,prefiller"]).unwrap().flags.enable_tls, stages);
    assert_eq!(parse(&["--enable-tls=decoder", "--enable-tls=prefiller"]).unwrap().flags.enable_tls, stages);
}

#[test]
fn every_upstream_flag_is_known() {
    for flag in [
        "--mooncake-bootstrap-port=1",
        "--p2p-connector-port=1",
        "--enable-p2p-pull",
        "--cert-path=/x",
        "--enable-ssrf-protection",
        "--inference-pool=a/b",
        "--pool-group=g",
        "--enable-prefiller-sampling",
        "--max-idle-conns-per-host=1",
        "--prefill-max-retries=1",
        "--prefill-retry-backoff=1s",
        "--decode-chunk-size=1",
        "--metrics-port=1",
        "--moriio-write-mode",
        "--moriio-parallel-dispatch",
        "--moriio-parallel-decode-wait-timeout=30s",
        "--moriio-local-pod-ip=x",
        "--moriio-decode-notify-port=1",
        "--moriio-prefill-notify-port=1",
        "--moriio-decode-handshake-port=1",
        "--moriio-prefill-handshake-port=1",
        "--moriio-tp-size=1",
        "--moriio-dp-size=1",
        "--moriio-dp-size-local=0",
        "--moriio-remote-hosts=a,b",
        "--moriio-decode-hosts=a",
        "--ec-connector=ec-nixl",
        "--vllm-port=1",
        "--data-parallel-size=2",
        "--prefiller-use-tls",
        "--decoder-use-tls",
        "--prefiller-tls-insecure-skip-verify",
        "--decoder-tls-insecure-skip-verify",
        "--zap-log-level=debug",
        "--zap-encoder=console",
        "--zap-devel",
        "--zap-stacktrace-level=error",
        "--zap-time-encoding=iso8601",
    ] {
        parse(&[flag]).unwrap_or_else(|error| panic!("{flag}: {error}"));
    }
}

#[test]
fn yaml_keys_are_flag_names_and_strict() {
    let yaml = |text: &str| parse(&["--configuration", text]).unwrap().yaml();
    let flags =
        yaml("port: 1\nenable-tls: [prefiller]\nprefill-retry-backoff: 1s\nmax-body-bytes: 1Mi\n").unwrap();
    assert_eq!(flags.port, Some(1));
    assert_eq!(flags.enable_tls, Some(vec![Stage::Prefiller]));
    assert_eq!(flags.prefill_retry_backoff, Some(Duration::from_secs(1)));
    assert_eq!(flags.max_body_bytes, Some(1 << 20));
    assert!(yaml("").unwrap().port.is_none());
    assert!(yaml("max-body-bytes: 4096").unwrap().max_body_bytes.is_some());
    for wrong in ["prot: 1", "port: many", "moriio-write-mode: true", "zap-encoder: json", "- port"] {
        assert!(yaml(wrong).is_err(), "{wrong}");
    }
    assert!(parse(&["--configuration=a", "--configuration-file=b"]).is_err());
    let missing = parse(&["--configuration-file=/nowhere/x.yaml"]).unwrap().yaml().unwrap_err();
    assert_eq!(missing.to_string(), "cannot read --configuration-file /nowhere/x.yaml");
}

#[test]
fn the_environment_is_looked_up_by_upstream_names() {
    let env = Env::from_lookup(&|name| Some(format!("<{name}>")));
    assert_eq!(env.inference_pool.as_deref(), Some("<INFERENCE_POOL>"));
    assert_eq!(env.pod_ip.as_deref(), Some("<POD_IP>"));
    let older = Env::from_lookup(&|name| (name == "INFERENCE_POOL_NAME").then(|| "p".to_owned()));
    assert_eq!(older.inference_pool.as_deref(), Some("default/p"));
}
