//! Which instruction set the kernels use: found at run time, so one binary fits every machine.

use std::fmt;
use std::str::FromStr;

use crate::simd::{Kernel, scalar};
#[cfg(target_arch = "x86_64")]
use crate::simd::{avx2, avx512};

/// Instruction sets with kernels, slowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isa {
    /// Plain Rust.
    Scalar,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The CPU lacks the instruction set that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this CPU has no {0}; its best is {best}", best = Isa::best())]
pub struct UnsupportedIsa(pub Isa);

/// No instruction set has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown instruction set {0:?}; known are scalar, avx2 and avx512")]
pub struct UnknownIsa(pub String);

impl Isa {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// The fastest one this CPU has.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|it| it.is_available()).unwrap_or(Self::Scalar)
    }

    /// Whether this CPU has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        Level::new(self).is_ok()
    }

    /// The name in options, logs and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = UnknownIsa;

    fn from_str(name: &str) -> Result<Self, UnknownIsa> {
        Self::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| UnknownIsa(name.to_owned()))
    }
}

/// An instruction set that this CPU was seen to have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    Scalar(scalar::Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl Level {
    /// Checks that the CPU has `isa`.
    pub(crate) fn new(isa: Isa) -> Result<Self, UnsupportedIsa> {
        match isa {
            Isa::Scalar => Some(Self::Scalar(scalar::Scalar)),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => avx2::Avx2::detect().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::Avx512::detect().map(Self::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::Avx512 => None,
        }
        .ok_or(UnsupportedIsa(isa))
    }

    /// Runs `kernel` compiled for this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) {
        match self {
            Self::Scalar(simd) => scalar::call(simd, kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(simd) => avx2::call(simd, kernel),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(simd) => avx512::call(simd, kernel),
        }
    }

    /// Its name.
    pub(crate) const fn isa(self) -> Isa {
        match self {
            Self::Scalar(_) => Isa::Scalar,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => Isa::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => Isa::Avx512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            assert_eq!(isa.name().parse(), Ok(isa));
        }
        assert_eq!("neon".parse::<Isa>(), Err(UnknownIsa("neon".to_owned())));
    }

    #[test]
    fn the_best_one_is_there() {
        assert!(Isa::best().is_available());
        for isa in Isa::ALL {
            assert_eq!(
                Level::new(isa).map(Level::isa),
                if isa.is_available() { Ok(isa) } else { Err(UnsupportedIsa(isa)) }
            );
        }
    }
}
