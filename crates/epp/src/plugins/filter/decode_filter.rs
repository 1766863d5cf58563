//! `decode-filter`: keeps endpoints that can decode, those without a role label included.

use std::sync::Arc;

use crate::config::ConfigError;
use crate::config::build::Build;
use crate::plugin::{Extension, Filter};
use crate::request::InferenceRequest;
use crate::scheduling::Candidate;

const ROLES: [&str; 4] = ["decode", "prefill-decode", "both", "encode-prefill-decode"];

/// See the module.
#[derive(Debug)]
pub struct DecodeFilter;

impl Filter for DecodeFilter {
    fn filter(&self, _request: &InferenceRequest<'_>, candidates: &[Candidate<'_>], keep: &mut [bool]) {
        for (keep, candidate) in keep.iter_mut().zip(candidates) {
            *keep = candidate.endpoint.role().is_none_or(|role| ROLES.contains(&role));
        }
    }
}

pub(crate) fn build(build: &mut Build<'_, '_>) -> Result<Extension, ConfigError> {
    build.no_parameters()?;
    Ok(Extension::Filter(Arc::new(DecodeFilter)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::plugins::filter::prefill_filter::PrefillFilter;
    use crate::testing::{candidates, endpoint, request, store};

    #[track_caller]
    fn check(role: Option<&str>, decodes: bool, prefills: bool) {
        let endpoint = endpoint("a");
        let store = store(vec![if let Some(role) = role { endpoint.role(role) } else { endpoint }]);
        let (endpoints, headers) = (store.endpoints(), HashMap::new());
        for (filter, expected) in
            [(&DecodeFilter as &dyn Filter, decodes), (&PrefillFilter as &dyn Filter, prefills)]
        {
            let mut keep = [true];
            filter.filter(&request("", &headers), &candidates(&endpoints), &mut keep);
            assert_eq!(keep, [expected], "{filter:?} on role {role:?}");
        }
    }

    #[test]
    fn roles_say_who_decodes_and_who_prefills() {
        check(None, true, false);
        check(Some("decode"), true, false);
        check(Some("prefill"), false, true);
        check(Some("prefill-decode"), true, true);
        check(Some("both"), true, true);
        check(Some("encode"), false, false);
        check(Some("encode-prefill"), false, true);
        check(Some("encode-prefill-decode"), true, true);
        check(Some("something-else"), false, false);
    }
}
