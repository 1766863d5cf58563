//! Building the programs for images: static, without paths of this machine, symbols in files of their own.
//!
//! The programs are linked with musl, so an image needs no C library, runs on any kernel since 3.2, and a scanner
//! finds nothing in it but the program. The alternative, glibc with its loader copied in, adds 3.2 MB to each image
//! (1.5 MB compressed) and ties it to a distribution's updates. It will be the right one for an engine that opens CUDA's
//! libraries at run time, which a static program cannot do. musl's allocator takes one lock for all threads, so it is
//! replaced (`crates/common/src/allocator.rs`).
//!
//! zig is the C compiler and the linker, because it holds the headers and start files of both platforms:
//! cargo-zigbuild drives it, and both come from PyPI at the versions of `xtask/images/requirements.txt`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::catalogue::{RECIPES, Recipe};
use crate::platform::Platform;

/// How programs are compiled: a profile of `Cargo.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// As they are delivered: small and fast, minutes a program
    Release,
    /// To be tried: what did not change is not compiled again
    Dev,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "dev",
        }
    }

    /// Where cargo puts what it has built.
    fn folder(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dev => "debug",
        }
    }
}

/// What building needs: where things are on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Workshop {
    root: PathBuf,
    target: PathBuf,
    profile: Profile,
    /// Folder of cargo-zigbuild and zig.
    tools: PathBuf,
    sysroot: PathBuf,
    /// Target of the compiler itself.
    host: String,
}

/// A program ready for an image.
#[derive(Debug, Clone)]
pub(crate) struct Executable {
    /// The file, without symbols.
    pub(crate) bytes: Vec<u8>,
    /// Bytes as linked, with symbols and line tables.
    pub(crate) linked: u64,
}

impl Workshop {
    /// Looks around.
    ///
    /// # Errors
    /// When rustc does not run.
    pub(crate) fn open(root: &Path, target: &Path, profile: Profile) -> Result<Self> {
        Ok(Self {
            root: root.to_owned(),
            target: target.to_owned(),
            profile,
            tools: target.join("images/tools/bin"),
            sysroot: PathBuf::from(rustc(root, "sysroot")?),
            host: rustc(root, "host-tuple")?,
        })
    }

    /// Installs cargo-zigbuild and zig below `target/images` where they are missing.
    ///
    /// # Errors
    /// When Python 3 or PyPI cannot be had.
    pub(crate) fn equip(&self) -> Result<()> {
        let python = self.tools.join("python");
        // Without pip the environment is one that Python could not finish.
        if !self.tools.join("pip").exists() {
            let venv = self.tools.parent().expect("the tools lie in a virtual environment");
            run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)).context(
                "zig lies in a virtual environment of Python 3; on Debian that needs the package python3-venv",
            )?;
        }
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
        run(Command::new(python).args(pip).arg(self.root.join("xtask/images/requirements.txt")))
    }

    /// Builds the programs `names` for `platform`. All packages are named whichever are built, because cargo
    /// unifies the features of what it is asked for: a program built alone must have the bytes it has among others.
    ///
    /// # Errors
    /// When rustc lacks the platform and rustup does not bring it, or the build fails.
    pub(crate) fn build(&self, platform: Platform, names: &[&str]) -> Result<()> {
        let target = platform.target();
        if !self.sysroot.join("lib/rustlib").join(target).exists() {
            run(Command::new("rustup").current_dir(&self.root).args(["target", "add", target]))
                .with_context(|| format!("rustc needs the standard library of {target} for {platform}"))?;
        }
        let mut build = Command::new("cargo");
        build.current_dir(&self.root).args(["zigbuild", "--profile", self.profile.name()]);
        build.args(["--locked", "--target", target]);
        for program in RECIPES.iter().filter_map(Recipe::program) {
            build.args(["--package", program.package]);
        }
        for name in names {
            build.args(["--bin", name]);
        }
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.tools.clone()).chain(std::env::split_paths(&paths));
        build.env("PATH", std::env::join_paths(paths)?);
        build.env("CARGO_ENCODED_RUSTFLAGS", self.rust_flags()?);
        build.env_remove("RUSTFLAGS");
        build.env("CFLAGS", format!("-ffile-prefix-map={}=/cargo", cargo_home()?.display()));
        run(&mut build)
    }

    /// The paths of this machine become fixed ones, so that the same commit gives the same program everywhere.
    fn rust_flags(&self) -> Result<OsString> {
        let cargo = cargo_home()?;
        let remapped = [(&self.root, "/llmd"), (&cargo, "/cargo"), (&self.sysroot, "/rust")];
        let flags = remapped.map(|(from, to)| {
            let mut flag = OsString::from("--remap-path-prefix=");
            flag.push(from);
            flag.push(format!("={to}"));
            flag
        });
        Ok(flags.join(&OsString::from("\x1f")))
    }

    /// The program `name` for `platform`, its symbols moved to `symbols`. A debugger that is given `NAME.debug` shows
    /// functions and lines. The program does not name the file: such a link holds a checksum of the symbols, in which
    /// zig writes where it lies on this machine.
    ///
    /// # Errors
    /// When the program is not built or names a path of this machine.
    pub(crate) fn executable(&self, platform: Platform, name: &str, symbols: &Path) -> Result<Executable> {
        let linked = self.target.join(platform.target()).join(self.profile.folder()).join(name);
        fs::create_dir_all(symbols).with_context(|| format!("cannot make {}", symbols.display()))?;
        let (debug, stripped) = (symbols.join(format!("{name}.debug")), symbols.join(name));
        run(self.objcopy().arg("--only-keep-debug").arg(&linked).arg(&debug))?;
        run(self.objcopy().arg("--strip-all").arg(&linked).arg(&stripped))?;
        let bytes = fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))?;
        fs::remove_file(&stripped)?;
        let home = cargo_home()?;
        for private in [&self.root, &self.target, &home] {
            let path = private.as_os_str().as_encoded_bytes();
            let is_named = bytes.windows(path.len()).any(|it| it == path);
            ensure!(
                !is_named,
                "{name} for {platform} names {}: its bytes depend on this machine",
                private.display()
            );
        }
        Ok(Executable { bytes, linked: fs::metadata(&linked)?.len() })
    }

    /// LLVM's objcopy, which comes with rustc and knows both platforms. It shares rustc's LLVM and does not say where
    /// that is; rustup tells the programs that cargo starts, but nobody tells others.
    fn objcopy(&self) -> Command {
        let program = self.sysroot.join("lib/rustlib").join(&self.host).join("bin/rust-objcopy");
        let mut objcopy = Command::new(program);
        objcopy.env("LD_LIBRARY_PATH", self.sysroot.join("lib"));
        objcopy
    }
}

/// Version of rustc, for the SBOM.
///
/// # Errors
/// When rustc does not run.
pub(crate) fn rust_version(root: &Path) -> Result<String> {
    let said = output(Command::new("rustc").current_dir(root).arg("--version"))?;
    Ok(said.split(' ').nth(1).unwrap_or_default().to_owned())
}

fn rustc(root: &Path, fact: &str) -> Result<String> {
    output(Command::new("rustc").current_dir(root).args(["--print", fact]))
}

/// Where cargo keeps the sources of crates.
fn cargo_home() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(home).context("neither CARGO_HOME nor HOME is set")
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Runs to the end; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
