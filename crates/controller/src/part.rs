//! Reading a part of an object that is too large to keep: what the type does not name is skipped, not stored.

use kube::Client;
use kube::Resource;
use kube::api::GetParams;
use kube::core::{ApiResource, DynamicObject, Request};
use serde::de::DeserializeOwned;

/// The cluster-scoped object of this name, as far as `T` goes.
///
/// # Errors
/// What the API server says, and when the object lacks what `T` demands.
pub async fn part_of<T: DeserializeOwned>(
    client: &Client,
    resource: &ApiResource,
    name: &str,
) -> kube::Result<T> {
    let url = DynamicObject::url_path(resource, None);
    let request = Request::new(url).get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    client.request(request).await
}
