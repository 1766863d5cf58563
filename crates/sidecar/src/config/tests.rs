use clap::Parser as _;

use super::*;

fn config_with(args: &[&str], env: &Env) -> Result<Config, ConfigError> {
    let args = Args::try_parse_from(std::iter::once(&"llmd-sidecar").chain(args)).unwrap();
    Config::new(args, env)
}

fn config(args: &[&str]) -> Config {
    config_with(args, &Env::default()).unwrap()
}

#[track_caller]
fn check_refused(args: &[&str], message: &str) {
    let error = config_with(args, &Env::default()).unwrap_err();
    assert!(error.to_string().starts_with(message), "{args:?}: {error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn defaults_are_upstreams() {
    let it = config(&[]);
    assert_eq!((it.port, it.model_server_port, it.data_parallel_size), (8000, 8200, 1));
    assert_eq!(it.connector, Connector::NixlV2);
    assert_eq!(it.serving_tls, ServingTls::SelfSigned);
    assert_eq!((it.prefiller_tls, it.decoder_tls), (LegTls::Off, LegTls::Off));
    assert_eq!(it.upstream.max_idle_per_host, 1024);
    assert_eq!((it.prefill.max_retries, it.prefill.retry_backoff), (0, Duration::from_millis(200)));
    assert_eq!(it.prefill.failure_policy, FailurePolicy::Error);
    assert_eq!(it.metrics_port, None);
    assert_eq!(it.shutdown_timeout, Duration::from_secs(60));
    assert_eq!((it.log_format, it.log_level), (LogFormat::Json, "info"));
}

#[test]
fn the_engine_port_has_two_names_in_two_layers() {
    let port = |args: &[&str]| config(args).model_server_port;
    assert_eq!(port(&["--vllm-port=1", "--model-server-port=2"]), 2);
    assert_eq!(port(&["--vllm-port=1", "--configuration=model-server-port: 3"]), 1);
    assert_eq!(port(&["--configuration={model-server-port: 3, vllm-port: 4}"]), 3);
    assert_eq!(port(&["--configuration=vllm-port: 4"]), 4);
}

#[test]
fn flag_wins_over_yaml_over_environment() {
    let env = Env { enable_prefiller_sampling: Some("true".to_owned()), ..Env::default() };
    let sampling = |args: &[&str]| config_with(args, &env).unwrap().prefill.is_sampling;
    assert!(sampling(&[]));
    assert!(!sampling(&["--configuration=enable-prefiller-sampling: false"]));
    assert!(sampling(&["--configuration=enable-prefiller-sampling: false", "--enable-prefiller-sampling"]));
}

#[test]
fn tls_of_the_legs_in_new_and_old_forms() {
    let legs = |args: &[&str]| {
        let it = config(args);
        (it.prefiller_tls, it.decoder_tls)
    };
    assert_eq!(legs(&["--enable-tls=prefiller,decoder"]), (LegTls::Verified, LegTls::Verified));
    assert_eq!(
        legs(&["--decoder-use-tls", "--decoder-tls-insecure-skip-verify"]),
        (LegTls::Off, LegTls::Unverified)
    );
    assert_eq!(legs(&["--tls-insecure-skip-verify=prefiller"]), (LegTls::Off, LegTls::Off));
}

#[test]
fn the_metrics_port_falls_back_to_an_address() {
    let env = |address: &str| Env { metrics_address: Some(address.to_owned()), ..Env::default() };
    assert_eq!(config_with(&[], &env(":9400")).unwrap().metrics_port, Some(9400));
    assert_eq!(config_with(&["--metrics-port=1"], &env(":9400")).unwrap().metrics_port, Some(1));
    assert!(config_with(&[], &env("nowhere")).is_err());
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    for (args, message) in [
        (["--kv-connector=sglang"], "not supported: --kv-connector: sglang is not built"),
        (["--connector=lmcache"], "not supported: --kv-connector: shared-storage is not built"),
        (["--ec-connector=ec-nixl"], "not supported: --ec-connector"),
        (["--enable-p2p-pull"], "not supported: --enable-p2p-pull"),
        (["--decode-chunk-size=8"], "not supported: --decode-chunk-size"),
        (["--tracing"], "not supported: --tracing"),
        (["--moriio-write-mode"], "not supported: --moriio-write-mode"),
        (["--moriio-parallel-dispatch"], "not supported: --moriio-parallel-dispatch"),
    ] {
        check_refused(&args, message);
    }
    config(&[
        "--enable-ssrf-protection=false",
        "--tracing=false",
        "--moriio-tp-size=8",
        "--inference-pool=ns/p",
    ]);
}

#[test]
fn wrong_values_say_what_to_give() {
    for (args, message) in [
        (&["--kv-connector=nixl"][..], "invalid value \"nixl\" for --kv-connector: use nixlv2"),
        (&["--data-parallel-size=0"], "invalid value \"0\" for --data-parallel-size"),
        (&["--data-parallel-size=9", "--port=65530"], "invalid value \"65530\" for --port"),
        (&["--model-server-port=0"], "invalid value \"0\" for --model-server-port"),
        (
            &["--prefill-max-retries=1", "--prefill-retry-backoff=0"],
            "invalid value \"0\" for --prefill-retry-backoff",
        ),
        (&["--prefill-failure-policy=hope"], "invalid value \"hope\" for --prefill-failure-policy"),
        (&["--inference-pool=a/b/c"], "invalid value \"a/b/c\" for --inference-pool"),
        (&["--inference-pool=/b"], "invalid value \"/b\" for --inference-pool"),
        (&["--pool-group=other"], "invalid value \"other\" for --pool-group"),
        (
            &["--enable-ssrf-protection"],
            "invalid value \"\" for --inference-pool: --enable-ssrf-protection needs",
        ),
        (&["--configuration=nonsense: 1"], "the YAML configuration is wrong"),
        (&["--zap-log-level=loud"], "invalid value \"loud\" for --zap-log-level"),
    ] {
        check_refused(args, message);
    }
}

#[test]
fn the_pool_has_many_names() {
    let pool = |args: &[&str], env: Option<&str>| {
        let env = Env { inference_pool: env.map(str::to_owned), ..Env::default() };
        let args = [&["--enable-ssrf-protection=true"], args].concat();
        config_with(&args, &env).unwrap().ssrf_protection.unwrap().pool.to_string()
    };
    assert_eq!(pool(&["--inference-pool=ns/p"], Some("env/p")), "ns/p");
    assert_eq!(pool(&["--inference-pool=p"], None), "default/p");
    assert_eq!(pool(&["--inference-pool="], Some("env/p")), "env/p");
    assert_eq!(pool(&["--inference-pool-name=p", "--inference-pool-namespace=ns"], Some("env/p")), "ns/p");
    assert_eq!(pool(&["--inference-pool-name=p"], None), "default/p");
    assert_eq!(pool(&["--configuration=inference-pool: yaml/p"], Some("env/p")), "yaml/p");
}

#[test]
fn the_group_of_the_pool_gives_its_version() {
    let group = |args: &[&str]| {
        let args = [&["--enable-ssrf-protection", "--inference-pool=p"], args].concat();
        config(&args).ssrf_protection.unwrap().pool.group
    };
    assert_eq!(group(&[]), pool::PoolGroup::V1);
    assert_eq!(group(&["--pool-group=inference.networking.x-k8s.io"]), pool::PoolGroup::V1Alpha2);
    assert_eq!(config(&["--inference-pool=p"]).ssrf_protection, None);
}
