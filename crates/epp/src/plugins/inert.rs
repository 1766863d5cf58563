//! Types that configurations name and that have no effect here.
//!
//! The policies belong to flow control: without it they decide nothing in the llm-d router either. The header handlers
//! are deprecated there, because `disagg-profile-handler` sets the headers itself.

use serde::Deserialize;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::Extension;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HeadersHandler {
    #[serde(default, rename = "prefillProfile")]
    _prefill_profile: Option<String>,
    #[serde(default, rename = "encodeProfile")]
    _encode_profile: Option<String>,
}

/// Builds a flow-control policy without parameters.
pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.parameters::<NoParameters>().map(|_| Extension::Inert)
}

/// Builds `disagg-headers-handler` or `prefill-header-handler`.
pub(crate) fn build_headers_handler(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.parameters::<HeadersHandler>().map(|_| Extension::Inert)
}
