//! What two engines must share before one may read the other's cache.
//!
//! The fingerprint covers the model (its configuration and samples of its weights) and the geometry of the KV
//! cache. Weights are sampled at evenly spaced places, so that a fine-tuned sibling with the same shapes differs while
//! starting an engine does not read every byte twice.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::kv_cache::KvLayout;

const SAMPLES_PER_FILE: u64 = 64;
const SAMPLE_BYTES: usize = 4096;

/// Fingerprint of the model folder `dir` cached with `layout`, in hexadecimal.
///
/// # Errors
/// When a model file cannot be read.
pub fn fingerprint(dir: &Path, layout: &KvLayout) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let KvLayout { n_layers, n_kv_heads, head_dim, block_size, dtype } = layout;
    hasher.update(format!("{n_layers} {n_kv_heads} {head_dim} {block_size} {} tp1\n", dtype.name()));
    hasher.update(fs::read(dir.join("config.json"))?);
    for path in weight_files(dir)? {
        sample(&path, &mut hasher)?;
    }
    Ok(hasher.finalize().iter().map(|it| format!("{it:02x}")).collect())
}

fn weight_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "safetensors"))
        .collect();
    files.sort();
    Ok(files)
}

fn sample(path: &Path, hasher: &mut Sha256) -> io::Result<()> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    hasher.update(len.to_le_bytes());
    let mut buffer = [0; SAMPLE_BYTES];
    for idx in 0..SAMPLES_PER_FILE {
        file.seek(SeekFrom::Start(len / SAMPLES_PER_FILE * idx))?;
        let n = file.read(&mut buffer)?;
        hasher.update(&buffer[..n]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv_cache::KvDtype;

    #[test]
    fn weights_configuration_and_layout_all_count() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        let layout =
            KvLayout { n_layers: 1, n_kv_heads: 1, head_dim: 2, block_size: 16, dtype: KvDtype::F32 };
        write("config.json", b"{}");
        write("model.safetensors", &[0; 10_000]);
        let first = fingerprint(dir.path(), &layout).unwrap();
        assert_eq!(first, fingerprint(dir.path(), &layout).unwrap());
        assert_ne!(first, fingerprint(dir.path(), &KvLayout { block_size: 32, ..layout }).unwrap());
        write("model.safetensors", &[1; 10_000]);
        assert_ne!(first, fingerprint(dir.path(), &layout).unwrap());
    }
}
