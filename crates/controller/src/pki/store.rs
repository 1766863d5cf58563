//! The authority in its Secret: whoever comes first writes it, everyone else reads what was written.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Authority, KeyedCertificate, PkiError};

/// Name of the Secret in the system namespace.
pub const SECRET: &str = "llmd-controller-ca";
/// Writers that race each other agree after one of them won; more rounds mean that something else is wrong.
const ATTEMPTS: usize = 5;
/// Time between two looks at the Secret. A successor is published a day before it signs, so minutes are soon.
const INTERVAL: Duration = Duration::from_secs(60);

/// The Secret's data: signing pair, trusted bundle and, during a rotation, the successor's pair.
const SIGNING: [&str; 2] = ["tls.crt", "tls.key"];
const SUCCESSOR: [&str; 2] = ["next.crt", "next.key"];
const BUNDLE: &str = "ca.crt";

/// The authority in the Secret's data; `None` when nothing usable is in it.
#[must_use]
pub fn from_data(data: &BTreeMap<String, ByteString>) -> Option<Authority> {
    let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    let pair = |keys: [&str; 2]| Some(KeyedCertificate { certificate: text(keys[0])?, key: text(keys[1])? });
    Authority::restore(pair(SIGNING)?, pair(SUCCESSOR), &text(BUNDLE).unwrap_or_default()).ok()
}

/// The Secret's data for `authority`.
#[must_use]
pub fn to_data(authority: &Authority) -> BTreeMap<String, ByteString> {
    let mut data = BTreeMap::from([(BUNDLE.to_owned(), ByteString(authority.bundle().into()))]);
    let mut put = |keys: [&str; 2], pair: &KeyedCertificate| {
        data.insert(keys[0].to_owned(), ByteString(pair.certificate.clone().into()));
        data.insert(keys[1].to_owned(), ByteString(pair.key.clone().into()));
    };
    put(SIGNING, authority.signing());
    if let Some(successor) = authority.successor() {
        put(SUCCESSOR, successor);
    }
    data
}

/// Reads the authority from `namespace`, and writes it where it is missing or due for a step of its rotation.
///
/// # Errors
/// When the API server refuses, or no key can be made.
pub async fn ensure(client: &Client, namespace: &str, now: Timestamp) -> Result<Authority, PkiError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |source: kube::Error| PkiError::Secret {
        namespace: namespace.to_owned(),
        name: SECRET.to_owned(),
        source: Box::new(source),
    };
    let mut attempt = 1;
    loop {
        let live = secrets.get_opt(SECRET).await.map_err(failed)?;
        let next = match live.as_ref().and_then(|it| from_data(it.data.as_ref()?)) {
            None => Authority::create(now)?,
            Some(stored) => match stored.advance(now)? {
                None => return Ok(stored),
                Some(next) => next,
            },
        };
        match write(&secrets, live, &next).await {
            Ok(()) => return Ok(next),
            Err(kube::Error::Api(it))
                if attempt < ATTEMPTS && (it.is_conflict() || it.is_already_exists()) =>
            {
                attempt += 1;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Keeps `authority` equal to the Secret, and the Secret in step with its rotation, until `stop`.
pub async fn follow(
    client: Client,
    namespace: String,
    authority: watch::Sender<Arc<Authority>>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        match ensure(&client, &namespace, Timestamp::now()).await {
            Ok(read) => drop(authority.send_if_modified(|it| {
                let changed = **it != read;
                if changed {
                    *it = Arc::new(read);
                }
                changed
            })),
            Err(error) => {
                tracing::warn!(error = %llmd_common::report::Report(&error), "keeping the certificate authority");
            }
        }
    }
}

/// Creates the Secret, or replaces the version that was read.
async fn write(
    secrets: &Api<Secret>,
    live: Option<Secret>,
    authority: &Authority,
) -> Result<(), kube::Error> {
    let data = Some(to_data(authority));
    match live {
        None => {
            let secret = Secret {
                metadata: ObjectMeta { name: Some(SECRET.to_owned()), ..ObjectMeta::default() },
                type_: Some("kubernetes.io/tls".to_owned()),
                data,
                ..Secret::default()
            };
            secrets.create(&PostParams::default(), &secret).await.map(drop)
        }
        Some(live) => {
            let secret = Secret { data, ..live };
            secrets.replace(SECRET, &PostParams::default(), &secret).await.map(drop)
        }
    }
}
