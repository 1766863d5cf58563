use serde_json::{Value, json};

use super::*;
use crate::kubernetes::pool::PoolApi;
use crate::kubernetes::{Kubernetes, Scope};

fn parse(words: &[&str]) -> Result<Args, clap::Error> {
    Args::parse_from_words(std::iter::once("llmd-epp").chain(words.iter().copied()))
}

fn settings(words: &[&str]) -> Result<Settings, Error> {
    let mut all = vec!["--config-text", "{}"];
    all.extend(words);
    Settings::try_from(parse(&all).unwrap())
}

#[test]
fn defaults_are_those_of_the_peers() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.ports, Ports { grpc: 9002, health: 9003, metrics: 9090, proxy: None });
    assert_eq!(settings.tls, Tls::SelfSigned);
    assert_eq!(settings.drain_timeout, Duration::from_secs(30));
    assert_eq!(settings.scrape.interval, Duration::from_millis(50));
    assert_eq!((settings.max_recv_bytes, settings.max_send_bytes), (4 << 20, usize::MAX));
    assert!(settings.obey_subset);
}

#[test]
fn every_upstream_flag_parses() {
    let words = "--pool-name p --pool-namespace=ns --pool-group inference.networking.x-k8s.io --grpc-port=1 \
        --grpc-health-port 2 --metrics-port 3 --secure-serving=false --cert-path /c --enable-cert-reload \
        --tls-min-version VersionTLS12 --tls-cipher-suites= --ha-enable-leader-election=false \
        --drain-timeout 1m30s --refresh-metrics-interval 100ms --refresh-prometheus-metrics-interval=5s \
        --metrics-staleness-threshold 2s --grpc-max-recv-msg-size 10Mi --grpc-max-send-msg-size= \
        --disable-endpoint-subset-filter --emit-endpoint-scores=false --metrics-endpoint-auth=false \
        --metrics-cert-dir= --metrics-client-ca-file= --enable-grpc-stream-metrics --enable-pprof=false \
        --health-checking --tracing=false --allow-experimental-plugins -v=4 --zap-encoder json \
        --zap-log-level info --zap-devel=false --zap-stacktrace-level error --zap-time-encoding iso8601 \
        --endpoint-selector= --endpoint-target-ports= --kubeconfig /k --model-server-metrics-scheme=https \
        --model-server-metrics-path /m --model-server-metrics-port=9 \
        --model-server-metrics-https-insecure-skip-verify=false";
    let words: Vec<&str> = words.split_whitespace().collect();
    let settings = settings(&words).unwrap();
    assert_eq!(settings.ports, Ports { grpc: 1, health: 2, metrics: 3, proxy: None });
    assert_eq!(settings.tls, Tls::Off);
    assert_eq!(settings.drain_timeout, Duration::from_secs(90));
    assert_eq!(settings.max_recv_bytes, 10 << 20);
    assert_eq!(settings.log_format, llmd_common::telemetry::LogFormat::Json);
    assert!(!settings.obey_subset && settings.health_on_grpc_port);
    let parameters = json!({ "scheme": "https", "path": "/m", "port": 9, "insecureSkipVerify": false });
    assert_eq!(Value::Object(settings.metrics_source), parameters);
}

#[test]
fn empty_words_mean_nothing() {
    assert_eq!(parse(&["", "--grpc-port=1", "", "--grpc-health-port", "2", ""]).unwrap().grpc_port, 1);
    assert!(parse(&["word"]).is_err());
}

#[test]
fn flags_say_which_pods_serve() {
    assert_eq!(settings(&[]).unwrap().kubernetes, None);
    let words = ["--pool-name=p", "--pool-namespace", "ns", "--metrics-endpoint-auth=false"];
    let expected = Kubernetes {
        kubeconfig: None,
        namespace: "ns".to_owned(),
        pool_name: "p".to_owned(),
        scope: Scope::Pool { name: "p".to_owned(), api: PoolApi::V1 },
        election: None,
        metrics_access: false,
    };
    assert_eq!(settings(&words).unwrap().kubernetes, Some(expected));
    let words = [
        "--endpoint-selector=app in (a,b)",
        "--endpoint-target-ports=8000,8001",
        "--pod-name=epp-5d-x",
        "--ha-enable-leader-election",
    ];
    let kubernetes = settings(&words).unwrap().kubernetes.unwrap();
    let scope = Scope::Selector { selector: "app in (a,b)".to_owned(), ports: vec![8000, 8001] };
    assert_eq!((kubernetes.pool_name.as_str(), kubernetes.scope), ("epp", scope));
    assert!(kubernetes.election.unwrap().starts_with("epp-5d-x_"));
}

#[test]
fn flags_about_pods_that_contradict_each_other_are_refused() {
    #[track_caller]
    fn check(words: &[&str], expected: &str) {
        assert_eq!(settings(words).unwrap_err().to_string(), expected);
    }
    check(
        &["--pool-name=p", "--endpoint-selector=a"],
        "--pool-name and --endpoint-selector exclude each other: leave one out",
    );
    check(&["--endpoint-selector=a"], "--endpoint-selector needs --endpoint-target-ports");
    check(
        &["--endpoint-selector=a", "--endpoint-target-ports=0"],
        "--endpoint-target-ports \"0\": use up to 8 different ports, such as 8000 or 8000,8001",
    );
    check(
        &["--pool-name=p", "--pool-group=x"],
        "--pool-group \"x\": use inference.networking.k8s.io or inference.networking.x-k8s.io",
    );
    check(
        &["--ha-enable-leader-election"],
        "--ha-enable-leader-election needs --pool-name or --endpoint-selector, which name the lease",
    );
}

#[test]
fn flags_follow_pflag_rules() {
    let verbosity = |words: &[&str]| parse(words).unwrap().verbosity;
    assert_eq!(verbosity(&["-v", "5"]), 5);
    assert_eq!(verbosity(&["-v=5"]), 5);
    assert_eq!(verbosity(&["-v5"]), 5);
    assert_eq!(verbosity(&["--v=3"]), 3);
    assert_eq!(verbosity(&["--v", "3", "-v=4"]), 4, "the last one wins");
    assert!(!parse(&["--secure-serving", "--secure-serving=f"]).unwrap().secure_serving);
    assert!(parse(&["--secure-serving=maybe"]).is_err());
    assert!(parse(&["--secure-serving", "false"]).is_err(), "a boolean's value stands behind =");
    assert!(parse(&["--no-such-flag"]).is_err());
    assert!(parse(&["--config-file", "a", "--config-text", "b"]).is_err());
}

#[test]
fn unsupported_features_are_refused_by_name() {
    #[track_caller]
    fn check(words: &[&str], expected: &str) {
        assert_eq!(settings(words).unwrap_err().to_string(), expected);
    }
    check(
        &["--emit-endpoint-scores"],
        "not supported: --emit-endpoint-scores; the scores of each decision are at /debug/decisions on the \
         metrics port",
    );
    check(
        &["--lora-info-metric=x"],
        "not supported: --lora-info-metric; it was removed upstream: name the metric in engineConfigs of the \
         configuration",
    );
    check(
        &["--grpc-max-recv-msg-size", "lots"],
        "--grpc-max-recv-msg-size \"lots\": use a number of bytes such as 4194304, 10Mi or 16M",
    );
    check(&["--zap-encoder", "xml"], "--zap-encoder \"xml\": use json or console");
}

#[test]
fn nothing_repeats_faster_than_every_fifty_milliseconds() {
    let words = ["--refresh-metrics-interval=1ms", "--refresh-prometheus-metrics-interval=0"];
    let scrape = settings(&words).unwrap().scrape;
    assert_eq!((scrape.interval, scrape.pool_gauges), (Duration::from_millis(50), Duration::from_millis(50)));
}

#[test]
fn verbosity_becomes_a_filter() {
    let filter = |words: &[&str]| settings(words).unwrap().log_filter;
    assert_eq!(filter(&[]), "info,llmd_epp=info,llmd_common=info");
    assert_eq!(filter(&["-v", "4"]), "info,llmd_epp=debug,llmd_common=debug");
    assert_eq!(filter(&["-v", "5", "--zap-log-level", "error"]), "error");
}

/// With and without TLS, where the template leaves empty words behind.
#[test]
fn the_command_lines_of_kserves_preset_are_understood() {
    let common = "--pool-name qwen-inference-pool --pool-namespace team --zap-encoder json --grpc-port 9002 \
                  --grpc-health-port 9003";
    let tls = "--enable-cert-reload=true --secure-serving=true --model-server-metrics-scheme=https \
               --cert-path=/var/run/kserve/tls";
    let words: Vec<&str> = common.split_whitespace().chain(tls.split_whitespace()).collect();
    let path = PathBuf::from("/var/run/kserve/tls");
    assert_eq!(settings(&words).unwrap().tls, Tls::Folder { path, reload: true });
    let words: Vec<&str> = common.split_whitespace().chain([""; 4]).collect();
    assert_eq!(settings(&words).unwrap().kubernetes.unwrap().namespace, "team");
}
