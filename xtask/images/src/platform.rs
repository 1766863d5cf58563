//! The platforms that images are made for.

use std::fmt;
use std::str::FromStr;

use oci_spec::image::{Arch, Os, PlatformBuilder};

/// What an image runs on. The programs are static, so the C library of the machine does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Platform {
    Amd64,
    Arm64,
}

impl Platform {
    /// Target of rustc.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-musl",
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// As the OCI specification names it, which takes Go's names.
    pub(crate) fn architecture(self) -> Arch {
        match self {
            Self::Amd64 => Arch::Amd64,
            Self::Arm64 => Arch::ARM64,
        }
    }

    /// For the descriptor of an image in an index. arm64 has the variant v8, as image tools write it.
    pub(crate) fn descriptor(self) -> oci_spec::image::Platform {
        let platform = PlatformBuilder::default().architecture(self.architecture()).os(Os::Linux);
        let platform = match self {
            Self::Amd64 => platform,
            Self::Arm64 => platform.variant("v8"),
        };
        platform.build().expect("architecture and system are set")
    }

    /// The platform whose containers run on this machine; `None` where there are no images for it.
    pub(crate) fn of_this_machine() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::Amd64),
            "aarch64" => Some(Self::Arm64),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "linux/{}", self.architecture())
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "linux/amd64" => Ok(Self::Amd64),
            "linux/arm64" | "linux/arm64/v8" => Ok(Self::Arm64),
            _ => Err("not supported: images are made for linux/amd64 and linux/arm64".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for platform in [Platform::Amd64, Platform::Arm64] {
            assert_eq!(platform.to_string().parse(), Ok(platform));
        }
        assert!("windows/amd64".parse::<Platform>().unwrap_err().contains("linux/arm64"));
    }
}
