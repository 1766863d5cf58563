//! Element types of stored weights.

use half::{bf16, f16};

/// Type of a stored weight. Arithmetic is always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// 2 bytes, 8 bits of exponent.
    Bf16,
    /// 2 bytes, 5 bits of exponent.
    F16,
    /// 4 bytes.
    F32,
}

impl ElementType {
    /// Bytes of one element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bf16 | Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// The name in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
            Self::F32 => "float32",
        }
    }

    /// Element `index` of little-endian `bytes`, which need no alignment.
    ///
    /// # Panics
    /// When `bytes` is too short.
    #[must_use]
    #[inline]
    pub fn read(self, bytes: &[u8], index: usize) -> f32 {
        match self {
            Self::Bf16 => bf16::from_bits(read_u16(bytes, index)).to_f32(),
            Self::F16 => f16::from_bits(read_u16(bytes, index)).to_f32(),
            Self::F32 => {
                let at = index * 4;
                f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            }
        }
    }
}

/// The 16-bit word `index` of little-endian `bytes`.
#[inline]
pub(crate) fn read_u16(bytes: &[u8], index: usize) -> u16 {
    u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]])
}
