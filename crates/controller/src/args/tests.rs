use super::*;

fn settings(words: &[&str]) -> Result<Settings, String> {
    let words = ["llmd-controller"].iter().chain(words);
    let args = Args::parse_from_words(words).map_err(|it| it.to_string())?;
    Settings::try_from(args).map_err(|it| it.to_string())
}

#[test]
fn flags_are_read_as_go_reads_them() {
    let words = ["-metrics-addr=:9090", "--leader-elect", "-zap-log-level", "debug", "-webhook-port", "0"];
    let settings = settings(&words).unwrap();
    assert_eq!(settings.metrics_addr.unwrap().to_string(), "0.0.0.0:9090");
    assert_eq!(settings.lease.as_deref(), Some("llminferenceservice-kserve-controller-manager"));
    assert!(settings.log_filter.contains("llmd_controller=debug"));
    assert_eq!(settings.webhook_addr.port(), 0);
}

#[test]
fn addresses_can_be_switched_off_and_the_last_flag_wins() {
    let settings =
        settings(&["--leader-elect", "--leader-elect=false", "--metrics-addr", "0", "--health-probe-addr=0"]);
    let settings = settings.unwrap();
    assert_eq!((settings.lease, settings.metrics_addr, settings.health_addr), (None, None, None));
    assert!(settings.metrics_secure);
    assert!(!self::settings(&["-metrics-secure=false"]).unwrap().metrics_secure);
}

#[test]
fn what_has_no_meaning_here_is_refused_or_named() {
    assert!(settings(&["-tls-min-version=VersionTLS10"]).unwrap_err().contains("VersionTLS12"));
    let suites = settings(&["-tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,X"]).unwrap_err();
    assert!(suites.starts_with("--tls-cipher-suites: not supported: \"X\"; use TLS_"), "{suites}");
    assert!(settings(&["--metrics-addr", "nowhere"]).unwrap_err().contains("use :PORT"));
    assert_eq!(settings(&["-zap-devel"]).unwrap().warnings, ["--zap-devel has no effect"]);
}

#[test]
fn two_processes_of_one_pod_name_have_different_identities() {
    let identity = || settings(&["--pod-name", "controller-0"]).unwrap().identity;
    assert!(identity().starts_with("controller-0_"));
    assert_ne!(identity(), identity());
}
