//! Geometry and content of one KV block.
//!
//! Wire layout of a page, the same on every device: for each layer K then V, each `[kv_heads][block_size][head_dim]`,
//! contiguous, little-endian. A head's slice is contiguous, so tensor-parallel re-slicing is an offset.

use half::bf16;

/// Element type of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvDtype {
    /// 2 bytes; rounding to nearest even on write.
    Bf16,
    /// 4 bytes, exact.
    F32,
}

impl KvDtype {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }

    /// The name in flags, fingerprints and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
        }
    }
}

/// Shape of a KV block over all layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KvLayout {
    /// Decoder layers.
    pub n_layers: usize,
    /// KV heads a layer.
    pub n_kv_heads: usize,
    /// Elements a head.
    pub head_dim: usize,
    /// Tokens a block.
    pub block_size: usize,
    /// Element type.
    pub dtype: KvDtype,
}

impl KvLayout {
    /// Elements of K (or of V) of one layer in one block.
    #[must_use]
    pub const fn half_layer_elements(&self) -> usize {
        self.n_kv_heads * self.block_size * self.head_dim
    }

    /// Elements of a page.
    #[must_use]
    pub const fn page_elements(&self) -> usize {
        self.n_layers * 2 * self.half_layer_elements()
    }

    /// Bytes of a page.
    #[must_use]
    pub const fn page_bytes(&self) -> usize {
        self.page_elements() * self.dtype.size()
    }

    /// Index of the first element of K of `layer`; V follows after [`KvLayout::half_layer_elements`].
    #[must_use]
    pub const fn layer_offset(&self, layer: usize) -> usize {
        layer * 2 * self.half_layer_elements()
    }
}

/// Content of one block.
#[derive(Debug, Clone, PartialEq)]
pub enum KvPage {
    /// See [`KvDtype::Bf16`].
    Bf16(Box<[bf16]>),
    /// See [`KvDtype::F32`].
    F32(Box<[f32]>),
}

impl KvPage {
    /// A page of zeros.
    #[must_use]
    pub fn zeroed(layout: &KvLayout) -> Self {
        match layout.dtype {
            KvDtype::Bf16 => Self::Bf16(bytemuck::zeroed_slice_box(layout.page_elements())),
            KvDtype::F32 => Self::F32(bytemuck::zeroed_slice_box(layout.page_elements())),
        }
    }

    /// Whether this is a page of `layout`.
    #[must_use]
    pub fn fits(&self, layout: &KvLayout) -> bool {
        match self {
            Self::Bf16(elements) => layout.dtype == KvDtype::Bf16 && elements.len() == layout.page_elements(),
            Self::F32(elements) => layout.dtype == KvDtype::F32 && elements.len() == layout.page_elements(),
        }
    }

    /// The bytes as they travel between engines.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bf16(elements) => bytemuck::cast_slice(elements),
            Self::F32(elements) => bytemuck::cast_slice(elements),
        }
    }

    /// The bytes, to receive a transfer straight into the page.
    #[must_use]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Bf16(elements) => bytemuck::cast_slice_mut(elements),
            Self::F32(elements) => bytemuck::cast_slice_mut(elements),
        }
    }
}
