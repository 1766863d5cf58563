//! A Hugging Face checkpoint: `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
//!
//! Files are memory-mapped, so opening a checkpoint reads its headers alone, and loading needs no second copy of
//! the weights in memory.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use llmd_kernels::{ElementType, MappedFile};
use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::{LoadError, Tensor, TensorSource};

/// The single file's name.
const SINGLE: &str = "model.safetensors";
/// Bytes of a safetensors file before its header: the header's length.
const HEADER_LENGTH_BYTES: usize = 8;
/// The name of the list of shards.
const INDEX: &str = "model.safetensors.index.json";

/// An open checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    files: Vec<MappedFile>,
    tensors: HashMap<String, Place>,
    total_bytes: u64,
}

/// Where a tensor is.
#[derive(Debug)]
struct Place {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    /// Maps the files of the model in `folder` and checks their headers.
    ///
    /// # Errors
    /// When there is no checkpoint, or a file is missing or damaged.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let mut checkpoint = Self { files: Vec::new(), tensors: HashMap::new(), total_bytes: 0 };
        let index = folder.join(INDEX);
        if index.exists() {
            for shard in shards(&index)? {
                checkpoint.add_file(&folder.join(shard))?;
            }
        } else {
            checkpoint.add_file(&folder.join(SINGLE))?;
        }
        Ok(checkpoint)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), LoadError> {
        let file =
            MappedFile::open(path).map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        // Compares every offset with the shapes and with the size of the file.
        let (header_len, metadata) = SafeTensors::read_metadata(&file)
            .map_err(|error| LoadError::Damaged { path: path.to_owned(), problem: error.to_string() })?;
        let data = HEADER_LENGTH_BYTES + header_len;
        for (name, TensorInfo { dtype, shape, data_offsets: (start, end) }) in metadata.tensors() {
            let (file, bytes) = (self.files.len(), data + start..data + end);
            self.total_bytes += bytes.len() as u64;
            self.tensors.insert(name, Place { file, dtype: *dtype, shape: shape.clone(), bytes });
        }
        self.files.push(file);
        Ok(())
    }
}

/// The files an index names, each once. A name must be a plain file name: an index does not reach out of its folder.
fn shards(index: &Path) -> Result<BTreeSet<String>, LoadError> {
    let damaged = |problem: String| LoadError::Damaged { path: index.to_owned(), problem };
    let text = fs::read(index).map_err(|source| LoadError::Read { path: index.to_owned(), source })?;
    let Index { weight_map } =
        serde_json::from_slice(&text).map_err(|error| damaged(format!("it is no index ({error})")))?;
    let shards: BTreeSet<String> = weight_map.into_values().collect();
    match shards.iter().find(|it| PathBuf::from(it).file_name() != Some(it.as_ref())) {
        Some(shard) => Err(damaged(format!("{shard:?} is no file name"))),
        None => Ok(shards),
    }
}

impl TensorSource for Checkpoint {
    fn tensor(&self, name: &str) -> Result<Tensor<'_>, LoadError> {
        let place = self.tensors.get(name).ok_or_else(|| LoadError::Missing { name: name.to_owned() })?;
        let element_type = match place.dtype {
            Dtype::BF16 => ElementType::Bf16,
            Dtype::F16 => ElementType::F16,
            Dtype::F32 => ElementType::F32,
            other => return Err(LoadError::Type { name: name.to_owned(), found: other.to_string() }),
        };
        let bytes = Cow::Borrowed(&self.files[place.file][place.bytes.clone()]);
        Ok(Tensor { element_type, shape: place.shape.clone(), bytes })
    }

    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }
}

#[cfg(test)]
mod tests;
