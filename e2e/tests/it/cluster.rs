//! The Kubernetes that the other stories stand on.

use anyhow::Result;
use llmd_e2e::cluster::{Cluster, Level};

#[test]
fn a_fake_node_runs_pods_in_name() -> Result<()> {
    let cluster = match Cluster::start(Level::FakeNode)? {
        Ok(cluster) => cluster,
        Err(reason) => {
            println!("skipped: {reason}");
            return Ok(());
        }
    };
    cluster.kubectl(&["create", "deployment", "hello", "--image=none", "--replicas=2"])?;
    cluster.kubectl(&["wait", "--for=condition=Available", "--timeout=60s", "deployment/hello"])?;
    Ok(())
}
