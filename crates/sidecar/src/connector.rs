//! How a prefill and a decode engine are made to share one request's KV cache.
//!
//! A connector is a closed set of body rewrites, all pure: what the prefill engine is asked, what its answer
//! means, what the decode engine is asked. Only `nixlv2` is built; the names of the others are known so that a
//! configuration for them is refused by name.

use std::str::FromStr;

pub mod nixl_v2;

/// A connector by its `--kv-connector` name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connector {
    /// Prefill first, then decode with the `kv_transfer_params` that prefill answered.
    #[default]
    NixlV2,
    /// Both engines read and write one external cache.
    SharedStorage,
    /// Both legs at once, meeting in a bootstrap room.
    Sglang,
    /// Both legs at once through a Mooncake bootstrap server.
    Mooncake,
    /// Both legs at once through the peer-to-peer offload tier.
    Offloading,
}

impl Connector {
    /// The name on the command line and in metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NixlV2 => "nixlv2",
            Self::SharedStorage => "shared-storage",
            Self::Sglang => "sglang",
            Self::Mooncake => "mooncake",
            Self::Offloading => "offloading",
        }
    }
}

impl FromStr for Connector {
    type Err = String;

    /// Also reads `lmcache`, an older name of `shared-storage`.
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "nixlv2" => Ok(Self::NixlV2),
            "shared-storage" | "lmcache" => Ok(Self::SharedStorage),
            "sglang" => Ok(Self::Sglang),
            "mooncake" => Ok(Self::Mooncake),
            "offloading" => Ok(Self::Offloading),
            _ => Err("use nixlv2, shared-storage, sglang, mooncake or offloading".to_owned()),
        }
    }
}
