//! A private Kubernetes API server: etcd and kube-apiserver on loopback ports, gone when dropped.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to answer.
const STARTUP: Duration = Duration::from_secs(120);

/// Running programs and their data.
pub(crate) struct Server {
    kubectl: PathBuf,
    folder: tempfile::TempDir,
    programs: Vec<Child>,
}

impl Server {
    /// Starts one, or says why not: the programs are looked up in `KUBEBUILDER_ASSETS`, then in `target/k8s/bin`.
    pub(crate) fn start() -> Option<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir().unwrap();
        let (etcd, peers, api) = (free_port(), free_port(), free_port());
        let key = rcgen::KeyPair::generate().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let public_key = file("service-accounts.pub", &key.public_key_pem());
        let key = file("service-accounts.pem", &key.serialize_pem());
        let tokens = file("tokens.csv", "admin,admin,admin,system:masters\n");
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\ncontexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n\
             clusters: [{{name: it, cluster: {{server: 'https://127.0.0.1:{api}', insecure-skip-tls-verify: true}}}}]\n\
             users: [{{name: it, user: {{token: admin}}}}]\n"
        );
        file("kubeconfig", &config);
        let root = folder.path().to_path_buf();
        let data = |name: &str| root.join(name).display().to_string();
        let etcd_url = format!("http://127.0.0.1:{etcd}");
        let peer_url = format!("http://127.0.0.1:{peers}");
        let mut server = Self { kubectl: programs.join("kubectl"), folder, programs: Vec::new() };
        server.spawn(
            &programs.join("etcd"),
            &[
                format!("--data-dir={}", data("etcd")),
                format!("--listen-client-urls={etcd_url}"),
                format!("--advertise-client-urls={etcd_url}"),
                format!("--listen-peer-urls={peer_url}"),
                format!("--initial-advertise-peer-urls={peer_url}"),
                format!("--initial-cluster=default={peer_url}"),
                "--unsafe-no-fsync".to_owned(),
            ],
        );
        server.spawn(
            &programs.join("kube-apiserver"),
            &[
                format!("--etcd-servers={etcd_url}"),
                format!("--secure-port={api}"),
                "--bind-address=127.0.0.1".to_owned(),
                "--advertise-address=127.0.0.1".to_owned(),
                format!("--cert-dir={}", data("certificates")),
                format!("--service-account-key-file={public_key}"),
                format!("--service-account-signing-key-file={key}"),
                "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
                format!("--token-auth-file={tokens}"),
                "--authorization-mode=RBAC".to_owned(),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                "--disable-admission-plugins=ServiceAccount".to_owned(),
            ],
        );
        server.wait();
        Some(server)
    }

    /// Runs kubectl with a text on standard input.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut kubectl = Command::new(&self.kubectl);
        kubectl.arg("--kubeconfig").arg(self.folder.path().join("kubeconfig")).args(arguments);
        let mut child =
            kubectl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The same; fails the test unless it succeeds. Returns what it prints.
    #[track_caller]
    pub(crate) fn must(&self, arguments: &[&str], input: &str) -> String {
        let output = self.kubectl(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn spawn(&mut self, program: &Path, arguments: &[String]) {
        let log = self.folder.path().join(format!("{}.log", program.file_name().unwrap().display()));
        let log = File::create(log).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        self.programs.push(child);
    }

    fn wait(&self) {
        let deadline = Instant::now() + STARTUP;
        while !self.kubectl(&["get", "namespace", "default"], "").status.success() {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.folder.path().join("kube-apiserver.log")).unwrap();
                panic!("no API server after {STARTUP:?}: {}", &log[log.len().saturating_sub(4000)..]);
            }
            sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for program in self.programs.iter_mut().rev() {
            let _ = program.kill();
            let _ = program.wait();
        }
    }
}

fn programs() -> Option<PathBuf> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/k8s/bin");
    let given = env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let folder = given.unwrap_or(built);
    if !["etcd", "kube-apiserver", "kubectl"].iter().all(|it| folder.join(it).exists()) {
        println!("skipped: no etcd, kube-apiserver and kubectl in {}", folder.display());
        return None;
    }
    Some(folder)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
