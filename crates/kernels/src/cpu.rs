//! [`Cpu`]: the threads and the instruction set that all operations run on.

use std::io;

use crate::isa::{Isa, Level, UnsupportedIsa};
use crate::pool::{Pool, default_threads};

/// What to compute with.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuOptions {
    /// Compute threads; by default one for each core that affinity mask and cgroup quota allow.
    pub threads: Option<usize>,
    /// Instruction set; by default the best one.
    pub isa: Option<Isa>,
}

/// Why there is no [`Cpu`].
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// See [`UnsupportedIsa`].
    #[error(transparent)]
    Isa(#[from] UnsupportedIsa),
    /// The system refused a thread.
    #[error("cannot start compute threads")]
    Threads(#[source] io::Error),
}

/// Compute threads and the instruction set they use.
#[derive(Debug)]
pub struct Cpu {
    pub(crate) pool: Pool,
    pub(crate) level: Level,
}

impl Cpu {
    /// Starts the compute threads.
    ///
    /// # Errors
    /// See [`CpuError`].
    pub fn new(options: CpuOptions) -> Result<Self, CpuError> {
        let level = Level::new(options.isa.unwrap_or_else(Isa::best))?;
        let threads = options.threads.unwrap_or_else(default_threads).max(1);
        Ok(Self { pool: Pool::new(threads).map_err(CpuError::Threads)?, level })
    }

    /// The instruction set in use.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.level.isa()
    }

    /// Threads in use.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }
}
