//! The two versions of InferencePool, mapped onto each other.
//!
//! v1 has several target ports and an optional endpoint picker where v1alpha2 has exactly one of each, so the way
//! to v1alpha2 is partial; the way to v1 fills in v1's defaults.

use super::{pool_v1, pool_v1alpha2};

/// Port of an endpoint picker's Service where nothing else is given.
pub const ENDPOINT_PICKER_PORT: i32 = 9002;

impl pool_v1::InferencePoolSpec {
    /// The same pool for gateways that read v1alpha2: its first port. `None` when the pool has no port or no endpoint
    /// picker, which that version cannot say.
    #[must_use]
    pub fn to_v1alpha2(&self) -> Option<pool_v1alpha2::InferencePoolSpec> {
        let picker = self.endpoint_picker_ref.as_ref()?;
        Some(pool_v1alpha2::InferencePoolSpec {
            selector: self.selector.match_labels.clone(),
            target_port_number: self.target_ports.first()?.number,
            extension_ref: pool_v1alpha2::ExtensionRef {
                group: picker.group.clone(),
                kind: picker.kind.clone(),
                name: picker.name.clone(),
                port_number: picker.port.map(|it| it.number),
                failure_mode: picker.failure_mode.clone(),
            },
        })
    }
}

impl pool_v1alpha2::InferencePoolSpec {
    /// The same pool in v1, with the defaults that v1alpha2 leaves open: kind `Service`, port
    /// [`ENDPOINT_PICKER_PORT`] of a Service, `FailClose`.
    #[must_use]
    pub fn to_v1(&self) -> pool_v1::InferencePoolSpec {
        let extension = &self.extension_ref;
        let kind = extension.kind.clone().unwrap_or_else(|| "Service".to_owned());
        let default_port = (kind == "Service").then_some(ENDPOINT_PICKER_PORT);
        pool_v1::InferencePoolSpec {
            selector: pool_v1::PoolSelector { match_labels: self.selector.clone() },
            target_ports: vec![pool_v1::PortNumber { number: self.target_port_number }],
            app_protocol: None,
            endpoint_picker_ref: Some(pool_v1::EndpointPickerRef {
                group: extension.group.clone(),
                port: extension.port_number.or(default_port).map(|number| pool_v1::PortNumber { number }),
                kind: Some(kind),
                name: extension.name.clone(),
                failure_mode: Some(extension.failure_mode.clone().unwrap_or_else(|| "FailClose".to_owned())),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn v1() -> pool_v1::InferencePoolSpec {
        pool_v1::InferencePoolSpec {
            selector: pool_v1::PoolSelector {
                match_labels: BTreeMap::from([("app".to_owned(), "qwen".to_owned())]),
            },
            target_ports: vec![pool_v1::PortNumber { number: 8000 }],
            app_protocol: None,
            endpoint_picker_ref: Some(pool_v1::EndpointPickerRef {
                group: None,
                kind: Some("Service".to_owned()),
                name: "qwen-epp-service".to_owned(),
                port: Some(pool_v1::PortNumber { number: 9002 }),
                failure_mode: Some("FailOpen".to_owned()),
            }),
        }
    }

    #[test]
    fn a_pool_that_both_versions_can_say_survives_the_round_trip() {
        assert_eq!(v1().to_v1alpha2().map(|it| it.to_v1()), Some(v1()));
    }

    #[test]
    fn v1_fills_in_what_v1alpha2_leaves_open() {
        let alpha = pool_v1alpha2::InferencePoolSpec {
            target_port_number: 8000,
            extension_ref: pool_v1alpha2::ExtensionRef { name: "epp".to_owned(), ..Default::default() },
            ..Default::default()
        };
        let picker = alpha.to_v1().endpoint_picker_ref.unwrap_or_default();
        assert_eq!(picker.kind.as_deref(), Some("Service"));
        assert_eq!(picker.port.map(|it| it.number), Some(ENDPOINT_PICKER_PORT));
        assert_eq!(picker.failure_mode.as_deref(), Some("FailClose"));
    }

    #[test]
    fn an_extension_that_is_no_service_gets_no_port() {
        let alpha = pool_v1alpha2::InferencePoolSpec {
            extension_ref: pool_v1alpha2::ExtensionRef {
                kind: Some("Other".to_owned()),
                ..Default::default()
            },
            ..Default::default()
        };
        assert_eq!(alpha.to_v1().endpoint_picker_ref.and_then(|it| it.port), None);
    }

    #[test]
    fn v1alpha2_cannot_say_a_pool_without_port_or_endpoint_picker() {
        assert_eq!(pool_v1::InferencePoolSpec { target_ports: Vec::new(), ..v1() }.to_v1alpha2(), None);
        assert_eq!(pool_v1::InferencePoolSpec { endpoint_picker_ref: None, ..v1() }.to_v1alpha2(), None);
    }
}
