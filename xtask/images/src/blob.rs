//! Content by its digest: what registries and image layouts store.

use anyhow::{Context, Result};
use oci_spec::image::{Descriptor, Digest, MediaType};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Bytes with their type and digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) media_type: MediaType,
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
}

impl Blob {
    /// A blob of these bytes.
    pub(crate) fn new(media_type: MediaType, bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), media_type, bytes }
    }

    /// A JSON document with sorted keys: the types of oci-spec keep annotations and labels in hash maps, whose
    /// order differs from run to run.
    ///
    /// # Errors
    /// When the value has no form in JSON.
    pub(crate) fn json(media_type: MediaType, value: &impl Serialize) -> Result<Self> {
        let mut value = serde_json::to_value(value).context("cannot write JSON")?;
        value.sort_all_objects();
        Ok(Self::new(media_type, serde_json::to_vec(&value)?))
    }

    /// What refers to this blob.
    pub(crate) fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.bytes.len() as u64, self.digest.clone())
    }

    /// Path below the root of an image layout.
    pub(crate) fn path(&self) -> String {
        format!("blobs/{}/{}", self.digest.algorithm(), self.digest.digest())
    }
}

/// SHA-256 of `bytes` as the OCI specification writes it.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    format!("sha256:{}", hex(&Sha256::digest(bytes))).parse().expect("SHA-256 in hexadecimal is a digest")
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_digest_is_that_of_the_standard() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest(b"").to_string(), empty);
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let inner: HashMap<String, u32> = (0..50).map(|n| (format!("k{n:02}"), n)).collect();
        let blob =
            Blob::json(MediaType::ImageConfig, &HashMap::from([("b", &inner), ("a", &inner)])).unwrap();
        let text = String::from_utf8(blob.bytes).unwrap();
        assert!(text.starts_with(r#"{"a":{"k00":0,"k01":1,"#) && text.ends_with(r#""k48":48,"k49":49}}"#));
    }
}
