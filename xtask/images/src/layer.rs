//! A file tree as a layer: equal trees give equal bytes.
//!
//! Entries are sorted, nothing has a time, names of owners are left out, and the compressor is the one that
//! `Cargo.lock` pins, without time or name in its header.

use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use oci_spec::image::{Digest, MediaType};
use tar::{Builder, EntryType, Header};

use crate::blob::{Blob, digest};
use crate::tree::{Node, Tree};

/// A layer as it is stored and as it is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The compressed archive.
    pub(crate) blob: Blob,
    /// Digest of the archive before compression.
    pub(crate) diff_id: Digest,
    /// Bytes of the archive before compression.
    pub(crate) unpacked: u64,
}

/// Packs `tree` into a layer.
///
/// # Errors
/// When a path is too long for an archive.
pub(crate) fn pack(tree: &Tree) -> Result<Layer> {
    let mut archive = Builder::new(Vec::new());
    for (path, node) in tree.iter() {
        append(&mut archive, path, node).with_context(|| format!("cannot archive {path}"))?;
    }
    let archive = archive.into_inner()?;
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packed.write_all(&archive)?;
    Ok(Layer {
        blob: Blob::new(MediaType::ImageLayerGzip, packed.finish()?),
        diff_id: digest(&archive),
        unpacked: archive.len() as u64,
    })
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, node: &Node) -> std::io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_mtime(0);
    match node {
        Node::Folder { mode, owner } => {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(*mode);
            header.set_uid(u64::from(*owner));
            header.set_gid(u64::from(*owner));
            header.set_size(0);
            archive.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
        Node::File { mode, content } => {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_slice())
        }
        Node::Link(target) => {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            archive.append_link(&mut header, path, target)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add("b/program", Node::File { mode: 0o755, content: b"runs".to_vec() });
        tree.add("a", Node::Folder { mode: 0o1777, owner: 65532 });
        tree.add("b/alias", Node::Link("program".to_owned()));
        tree
    }

    #[test]
    fn packing_twice_gives_the_same_bytes() {
        assert_eq!(pack(&tree()).unwrap(), pack(&tree()).unwrap());
        let mut other = tree();
        other.add("b/program", Node::File { mode: 0o755, content: b"ruNs".to_vec() });
        assert_ne!(pack(&tree()).unwrap().blob.digest, pack(&other).unwrap().blob.digest);
    }

    #[test]
    fn the_archive_holds_the_tree_without_times_and_names() {
        let layer = pack(&tree()).unwrap();
        let mut plain = Vec::new();
        GzDecoder::new(layer.blob.bytes.as_slice()).read_to_end(&mut plain).unwrap();
        assert_eq!((digest(&plain), plain.len() as u64), (layer.diff_id, layer.unpacked));
        let mut archive = tar::Archive::new(plain.as_slice());
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.username()), (0, Ok(Some(""))));
            let path = entry.path().unwrap().display().to_string();
            let link = entry.link_name().unwrap().map(|it| it.display().to_string());
            (path, header.mode().unwrap(), header.uid().unwrap(), link.unwrap_or(content))
        });
        let expected = [
            ("a/", 0o1777, 65532, ""),
            ("b/", 0o755, 0, ""),
            ("b/alias", 0o777, 0, "program"),
            ("b/program", 0o755, 0, "runs"),
        ];
        let expected = expected.map(|(path, mode, owner, it)| (path.to_owned(), mode, owner, it.to_owned()));
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }
}
