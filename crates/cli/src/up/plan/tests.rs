use super::*;
use crate::up::ports::EppPorts;

/// Ports that say what they belong to: prefill 100x, decode engine, sidecar and its metrics 20x1 to 20x3.
pub(crate) fn ports(n_prefill: u16, n_decode: u16) -> Ports {
    let decode = |idx| DecodePorts {
        engine: 2001 + 10 * idx,
        sidecar: 2002 + 10 * idx,
        sidecar_metrics: 2003 + 10 * idx,
    };
    Ports {
        gateway: 8080,
        envoy_admin: None,
        epp: EppPorts { grpc: 9002, grpc_health: 9003, metrics: 9090 },
        prefill: (0..n_prefill).map(|idx| 1001 + idx).collect(),
        decode: (0..n_decode).map(decode).collect(),
    }
}

fn wish(gateway: GatewayKind) -> Wish {
    let flags = EngineFlags { args: vec!["--max-num-seqs".into(), "4".into()], env: Vec::new() };
    Wish {
        model: Model { name: "llmd-tiny".into(), path: "/m/llmd-tiny".into() },
        gateway,
        aliases: Vec::new(),
        prefill: flags.clone(),
        decode: flags,
        programs: Programs {
            engine: "/b/llmd-engine".into(),
            sidecar: "/b/llmd-sidecar".into(),
            epp: "/b/llmd-epp".into(),
            envoy: (gateway == GatewayKind::Envoy).then(|| "/b/envoy".into()),
        },
        files: Files { epp_config: "/s/epp.yaml".into(), envoy_config: "/s/envoy.yaml".into() },
    }
}

fn lines(components: &[Component]) -> Vec<String> {
    let line = |it: &Component| format!("{}: {}", it.name, it.command.args.join(" "));
    components.iter().map(line).collect()
}

#[test]
fn the_default_stack() {
    let components = components(&wish(GatewayKind::Native), &ports(1, 2));
    let engine = |port| {
        format!(
            "serve /m/llmd-tiny --host 127.0.0.1 --served-model-name llmd-tiny --port {port} --kv-transfer-config \
             {KV_TRANSFER_CONFIG} --enable-prompt-tokens-details --max-num-seqs 4"
        )
    };
    let sidecar = |idx: u16| {
        format!(
            "sidecar-{idx}: --host 127.0.0.1 --secure-proxy=false --zap-encoder=console --prefill-failure-policy=local \
             --shutdown-timeout=10s --port {} --model-server-port {} --metrics-port {}",
            2002 + 10 * idx,
            2001 + 10 * idx,
            2003 + 10 * idx
        )
    };
    let expected = [
        "epp: --host 127.0.0.1 --pool-name llmd-up --config-file /s/epp.yaml --grpc-port 9002 --grpc-health-port \
         9003 --metrics-port 9090 --drain-timeout=10s --secure-serving=false --proxy-port 8080"
            .to_owned(),
        sidecar(0),
        format!("decode-0: {}", engine(2001)),
        sidecar(1),
        format!("decode-1: {}", engine(2011)),
        format!("prefill-0: {}", engine(1001)),
    ];
    assert_eq!(lines(&components), expected);
    let health: Vec<_> = components.iter().map(|it| it.health_url.as_str()).collect();
    assert_eq!(health[0], "http://127.0.0.1:9090/readyz");
    assert_eq!(health[1], "http://127.0.0.1:2002/health");
    assert_eq!(health[5], "http://127.0.0.1:1001/health");
    assert_eq!(components[0].urls["http"], "http://127.0.0.1:8080");
}

#[test]
fn envoy_is_a_component_of_its_own_and_the_picker_opens_no_proxy() {
    let ports = Ports { envoy_admin: Some(9901), ..ports(0, 1) };
    let components = components(&wish(GatewayKind::Envoy), &ports);
    let names: Vec<_> = components.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["gateway", "epp", "sidecar-0", "decode-0"]);
    assert_eq!(
        lines(&components)[0],
        "gateway: -c /s/envoy.yaml --concurrency 1 --disable-hot-restart --log-level warning"
    );
    assert_eq!(components[0].health_url, "http://127.0.0.1:9901/ready");
    assert_eq!(components[0].urls["http"], "http://127.0.0.1:8080");
    assert!(!components[1].command.args.contains(&"--proxy-port".to_owned()));
}
