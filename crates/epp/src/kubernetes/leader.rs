//! One of several replicas serves: the one that holds the Lease `epp-<namespace>-<pool>.llm-d.ai` is ready, and the
//! others keep their endpoints fresh for the day they are asked.

use kube::Client;
use llmd_common::kubernetes::lease::Election;
use llmd_common::ready::Condition;
use tokio_util::sync::CancellationToken;

use super::Kubernetes;

/// Takes part in the election until `stop`, then gives the lease back. `condition` holds while this replica leads.
pub async fn follow(
    client: Client,
    kubernetes: Kubernetes,
    identity: String,
    condition: Condition,
    stop: CancellationToken,
) {
    let name = lease_name(&kubernetes.namespace, &kubernetes.pool_name);
    let mut election = Election::new(client, &kubernetes.namespace, &name, identity);
    let terms = async {
        loop {
            election.acquire().await;
            condition.ready();
            election.hold().await;
            condition.not_ready("the lease was lost");
        }
    };
    if stop.run_until_cancelled(terms).await.is_none() {
        condition.not_ready("shutting down");
    }
    election.release().await;
}

fn lease_name(namespace: &str, pool: &str) -> String {
    format!("epp-{namespace}-{pool}.llm-d.ai")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lease_is_the_one_that_other_endpoint_pickers_take() {
        assert_eq!(lease_name("ns", "pool"), "epp-ns-pool.llm-d.ai");
    }
}
