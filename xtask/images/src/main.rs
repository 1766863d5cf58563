//! `cargo xtask images` and `cargo xtask release`: from sources to container images, and to all that a version
//! consists of, without a container runtime.
//!
//! Building (`build`) and handing over (`load`, `push`) are the edges; what an image is made of is a pure function
//! of its ingredients (`tree`, `layer`, `image`, `sbom`, `layout`), so building again gives the same digests.
//! A program of its own, so that the other tasks do not wait for a registry client to compile.

mod blob;
mod build;
mod catalogue;
mod certificates;
#[cfg(test)]
mod dockerfile;
mod image;
mod images;
mod kitchen;
mod layer;
mod layout;
mod load;
mod model;
mod origin;
mod platform;
mod push;
mod release;
mod report;
mod sbom;
#[cfg(test)]
mod smoke;
mod tree;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
enum Task {
    /// Build the container images
    Images(images::Options),
    /// Make all that a version consists of: programs, images, charts, SBOMs, checksums, notes
    Release(release::Options),
}

fn main() -> ExitCode {
    let (name, done) = match Task::parse() {
        Task::Images(options) => ("images", images::run(&options)),
        Task::Release(options) => ("release", release::run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error nobody can be told.
            let _ = writeln!(std::io::stderr(), "{name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A line of results on standard output.
fn say(text: &str) {
    // A reader that closed the pipe wants no more.
    let _ = writeln!(std::io::stdout(), "{text}");
}
