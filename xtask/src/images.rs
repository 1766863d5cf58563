//! `cargo xtask images` and `cargo xtask release`: run the program in `xtask/images`, which is one of its own because a
//! registry client takes longer to compile than all other tasks.

use anyhow::Result;

use crate::command::{self, cargo};
use crate::workspace::root;

/// Passes `args` on to its command `task`.
pub(crate) fn run(task: &str, args: &[String]) -> Result<()> {
    let mut images = cargo();
    images.current_dir(root()).args(["run", "--quiet", "--package", "llmd-images", "--", task]).args(args);
    command::run(&mut images)
}
