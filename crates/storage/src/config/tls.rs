//! Which certificates are trusted, by what is mounted and what the S3 account says.

use std::path::{Path, PathBuf};

use super::Source;
use crate::args::Environment;

/// Name of the bundle below its mount point.
const BUNDLE: &str = "cabundle.crt";

/// Certificates that the pod brings.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    /// The installation's bundle.
    mounted: Option<PathBuf>,
    /// The bundle of the S3 account.
    of_s3: Option<PathBuf>,
    /// Whether the S3 server may have any certificate.
    insecure_s3: bool,
}

/// Whom a client trusts, besides the system's certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// PEM files, all of which must be there.
    pub ca_files: Vec<PathBuf>,
    /// Whether any certificate is accepted.
    pub anybody: bool,
}

impl TlsConfig {
    /// What the environment says.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        let mounted = environment.get("CA_BUNDLE_VOLUME_MOUNT_POINT");
        Self {
            mounted: mounted.map(|it| Path::new(it).join(BUNDLE)),
            of_s3: environment.get("AWS_CA_BUNDLE").map(PathBuf::from),
            insecure_s3: environment.is_false("S3_VERIFY_SSL"),
        }
    }

    /// The account's own bundle counts for S3 and may be the only one in the mounted volume; others use it if it
    /// is there.
    #[must_use]
    pub fn trust(&self, source: &Source) -> Trust {
        let is_s3 = matches!(source, Source::S3 { .. });
        let of_s3 = self.of_s3.clone().filter(|it| is_s3 || it.exists());
        let mounted = self.mounted.clone().filter(|it| self.of_s3.is_none() || it.exists());
        Trust { ca_files: mounted.into_iter().chain(of_s3).collect(), anybody: is_s3 && self.insecure_s3 }
    }
}
