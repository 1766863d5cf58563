//! An image archive of one program that came from elsewhere: an OCI image layout in a tar, as `ctr images import`
//! takes it. Equal files give equal bytes. Images of this project's own programs are made elsewhere, with more care.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What goes into an image.
#[derive(Debug)]
pub(super) struct Archive {
    name: String,
    /// Path inside the image, without the first slash, and file of this machine.
    files: BTreeMap<String, PathBuf>,
    folders: Vec<String>,
    entrypoint: String,
    user: String,
}

impl Archive {
    /// An image `name` that runs `program`, which lies at `path` in it, as an ordinary user.
    pub(super) fn new(name: &str, program: &Path, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            files: BTreeMap::from([(path.trim_start_matches('/').to_owned(), program.to_path_buf())]),
            folders: Vec::new(),
            entrypoint: path.to_owned(),
            user: "65532:65532".to_owned(),
        }
    }

    /// Adds a file of this machine.
    pub(super) fn file(mut self, path: &str, file: &Path) -> Self {
        self.files.insert(path.trim_start_matches('/').to_owned(), file.to_path_buf());
        self
    }

    /// Runs as another user.
    pub(super) fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Adds an empty folder.
    pub(super) fn folder(mut self, path: &str) -> Self {
        self.folders.push(path.trim_start_matches('/').to_owned());
        self
    }

    /// Adds the shared libraries that the programs need, with the loader.
    ///
    /// # Errors
    /// When `ldd` does not run.
    pub(super) fn libraries(mut self) -> Result<Self> {
        let programs: Vec<PathBuf> = self.files.values().cloned().collect();
        for program in programs {
            let output = Command::new("ldd").arg(&program).output().context("cannot run ldd")?;
            for library in libraries(&String::from_utf8_lossy(&output.stdout)) {
                self.files.insert(library.trim_start_matches('/').to_owned(), PathBuf::from(library));
            }
        }
        Ok(self)
    }

    /// Writes the archive unless it is there and newer than the program.
    ///
    /// # Errors
    /// When a file cannot be read or the archive not be written.
    pub(super) fn write_new(&self, path: &Path) -> Result<()> {
        let changed = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
        let is_new = |file: &PathBuf| changed(path) >= changed(file);
        if path.exists() && self.files.values().all(is_new) {
            return Ok(());
        }
        let new = path.with_extension("new");
        self.write(&new).with_context(|| format!("cannot write the image {}", self.name))?;
        Ok(fs::rename(new, path)?)
    }

    fn write(&self, path: &Path) -> Result<()> {
        let plain = self.layer()?;
        let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
        packed.write_all(&plain)?;
        let mut blobs = BTreeMap::new();
        let layer = blob(&mut blobs, packed.finish()?, "layer.v1.tar+gzip");
        let config = json!({
            "architecture": crate::workspace::architecture()?,
            "os": "linux",
            "config": {
                "Entrypoint": [self.entrypoint],
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "User": self.user,
            },
            "rootfs": { "type": "layers", "diff_ids": [digest(&plain)] },
        });
        let config = blob(&mut blobs, config.to_string().into_bytes(), "config.v1+json");
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config,
            "layers": [layer],
        });
        let mut entry = blob(&mut blobs, manifest.to_string().into_bytes(), "manifest.v1+json");
        entry["annotations"] = json!({ "io.containerd.image.name": self.name });
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let mut archive = Builder::new(File::create(path)?);
        append(&mut archive, "oci-layout", 0o644, br#"{"imageLayoutVersion": "1.0.0"}"#)?;
        append(&mut archive, "index.json", 0o644, index.to_string().as_bytes())?;
        for (hash, bytes) in blobs {
            append(&mut archive, &format!("blobs/sha256/{hash}"), 0o644, &bytes)?;
        }
        archive.into_inner()?;
        Ok(())
    }

    /// The file system as a tar.
    fn layer(&self) -> Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        append_folder(&mut archive, "tmp", 0o1777)?;
        for folder in &self.folders {
            append_folder(&mut archive, folder, 0o777)?;
        }
        for (path, file) in &self.files {
            let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            append(&mut archive, path, 0o755, &bytes)?;
        }
        Ok(archive.into_inner()?)
    }
}

fn append<W: std::io::Write>(archive: &mut Builder<W>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = header(EntryType::Regular, mode);
    header.set_size(bytes.len() as u64);
    Ok(archive.append_data(&mut header, path, bytes)?)
}

fn append_folder<W: std::io::Write>(archive: &mut Builder<W>, path: &str, mode: u32) -> Result<()> {
    let mut header = header(EntryType::Directory, mode);
    header.set_size(0);
    Ok(archive.append_data(&mut header, format!("{path}/"), std::io::empty())?)
}

/// An entry that says nothing of the machine that made it.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Adds content; returns what refers to it.
fn blob(blobs: &mut BTreeMap<String, Vec<u8>>, bytes: Vec<u8>, kind: &str) -> Value {
    let digest = digest(&bytes);
    let hash = digest.trim_start_matches("sha256:").to_owned();
    let descriptor = json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": digest,
        "size": bytes.len(),
    });
    blobs.insert(hash, bytes);
    descriptor
}

fn digest(bytes: &[u8]) -> String {
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hash}")
}

/// Paths in the output of `ldd`: `libm.so.6 => /lib/libm.so.6 (0x…)` and `/lib64/ld-linux.so.2 (0x…)`.
fn libraries(output: &str) -> impl Iterator<Item = &str> {
    let path = |line: &'_ str| -> Option<usize> { line.find(" (0x") };
    output.lines().filter_map(move |line| {
        let before = &line[..path(line)?];
        before.split_whitespace().next_back().filter(|it| it.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_absolute_paths() {
        let output = "\tlinux-vdso.so.1 (0x00007f)\n\tlibm.so.6 => /lib/libm.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tnot a dynamic executable\n";
        assert_eq!(libraries(output).collect::<Vec<_>>(), ["/lib/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]);
    }

    #[test]
    fn the_layout_refers_to_what_it_holds() {
        let folder = std::env::temp_dir().join(format!("llmd-archive-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (program, path) = (folder.join("program"), folder.join("image.tar"));
        fs::write(&program, "runs").unwrap();
        let archive = Archive::new("localhost/program:1", &program, "/bin/program");
        archive.write_new(&path).unwrap();
        let mut entries = BTreeMap::new();
        for entry in tar::Archive::new(File::open(&path).unwrap()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            entries.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        let read = |descriptor: &Value| -> &Vec<u8> {
            let hash = descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:");
            let bytes = &entries[&format!("blobs/sha256/{hash}")];
            assert_eq!(
                (descriptor["size"].as_u64().unwrap(), digest(bytes)),
                (bytes.len() as u64, format!("sha256:{hash}"))
            );
            bytes
        };
        let index: Value = serde_json::from_slice(&entries["index.json"]).unwrap();
        assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "localhost/program:1");
        let manifest: Value = serde_json::from_slice(read(&index["manifests"][0])).unwrap();
        let config: Value = serde_json::from_slice(read(&manifest["config"])).unwrap();
        let mut plain = Vec::new();
        let layer = flate2::read::GzDecoder::new(read(&manifest["layers"][0]).as_slice());
        std::io::Read::read_to_end(&mut { layer }, &mut plain).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], digest(&plain));
        fs::remove_dir_all(&folder).unwrap();
    }
}
