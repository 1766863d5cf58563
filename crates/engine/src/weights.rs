//! Getting weights from a checkpoint to a device.
//!
//! A [`TensorSource`] finds tensors by name; a [`Loader`] checks their shapes, joins those that the decoder
//! multiplies at once (query, key and value; gate and up) and tells how far it is.

pub mod checkpoint;
pub mod random;

use std::borrow::Cow;
use std::path::PathBuf;

use llmd_kernels::{ElementType, SourceMatrix};

pub use self::checkpoint::Checkpoint;
use crate::backend::{Backend, OutOfMemory};

/// Why weights cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{} is damaged: {problem}; download it again", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The model needs a tensor that the checkpoint lacks.
    #[error("the checkpoint has no tensor {name:?}, which config.json asks for")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor has another shape than the model needs.
    #[error("tensor {name:?} is {found:?}, but config.json asks for {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// What it is.
        found: Vec<usize>,
        /// What it should be.
        expected: Vec<usize>,
    },
    /// A tensor is stored in a type that is not known here.
    #[error("tensor {name:?} is stored as {found:?}; supported are BF16, F16 and F32")]
    Type {
        /// Its name.
        name: String,
        /// What the header says.
        found: String,
    },
    /// See [`OutOfMemory`].
    #[error(transparent)]
    Memory(#[from] OutOfMemory),
}

/// A tensor as it is stored: row-major, little-endian.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// Type of its elements.
    pub element_type: ElementType,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its elements; as many bytes as type and shape say.
    pub bytes: Cow<'a, [u8]>,
}

/// Where tensors come from.
pub trait TensorSource {
    /// The tensor of that name.
    ///
    /// # Errors
    /// When there is none or it cannot be read.
    fn tensor(&self, name: &str) -> Result<Tensor<'_>, LoadError>;

    /// Bytes of all tensors, to tell how far loading is.
    fn total_bytes(&self) -> u64;
}

/// Moves tensors to a device. See the module's introduction.
#[expect(missing_debug_implementations, reason = "holds a callback")]
pub struct Loader<'a> {
    source: &'a dyn TensorSource,
    progress: &'a mut dyn FnMut(f32),
    loaded: u64,
}

impl<'a> Loader<'a> {
    /// A loader that calls `progress` with the loaded share of the bytes, 0 to 1, after each tensor.
    pub fn new(source: &'a dyn TensorSource, progress: &'a mut dyn FnMut(f32)) -> Self {
        Self { source, progress, loaded: 0 }
    }

    /// The weights `{name}.weight` of `parts` (name and outputs each), one below the other, and if `biased` their
    /// `{name}.bias`.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn matrix<B: Backend>(
        &mut self,
        backend: &mut B,
        parts: &[(&str, usize)],
        inputs: usize,
        biased: bool,
    ) -> Result<B::Matrix, LoadError> {
        let tensors = parts
            .iter()
            .map(|(name, outputs)| self.tensor(&format!("{name}.weight"), &[*outputs, inputs]))
            .collect::<Result<Vec<_>, _>>()?;
        let matrices: Vec<_> = tensors
            .iter()
            .zip(parts)
            .map(|(tensor, (_, outputs))| {
                SourceMatrix::new(&tensor.bytes, tensor.element_type, *outputs, inputs)
                    .expect("`tensor` compared the size with the shape")
            })
            .collect();
        let bias = if biased {
            let parts = parts.iter().map(|(name, outputs)| self.values(&format!("{name}.bias"), *outputs));
            Some(parts.collect::<Result<Vec<_>, _>>()?.concat())
        } else {
            None
        };
        Ok(backend.matrix(&matrices, bias)?)
    }

    /// The tensor `name` of `len` elements.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn vector<B: Backend>(
        &mut self,
        backend: &mut B,
        name: &str,
        len: usize,
    ) -> Result<B::Vector, LoadError> {
        let values = self.values(name, len)?;
        Ok(backend.vector(values)?)
    }

    /// A one-dimensional tensor, widened.
    fn values(&mut self, name: &str, len: usize) -> Result<Vec<f32>, LoadError> {
        let Tensor { element_type, bytes, .. } = self.tensor(name, &[len])?;
        Ok((0..len).map(|index| element_type.read(&bytes, index)).collect())
    }

    /// The tensor `name`, which must have this shape.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor<'a>, LoadError> {
        let tensor = self.source.tensor(name)?;
        if tensor.shape != shape {
            let (name, expected) = (name.to_owned(), shape.to_vec());
            return Err(LoadError::Shape { name, found: tensor.shape, expected });
        }
        self.loaded += tensor.bytes.len() as u64;
        (self.progress)((self.loaded as f64 / self.source.total_bytes().max(1) as f64).min(1.0) as f32);
        Ok(tensor)
    }
}
