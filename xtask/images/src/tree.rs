//! The file tree of an image: what lies where, with which rights, owned by whom.
//!
//! Every image of a program has the same surroundings for it: certificates of public authorities, the account it runs
//! as, a folder for temporary files, the licence. The root file system can be mounted read-only.

use std::collections::BTreeMap;

use crate::catalogue::Program;

/// User and group that every program runs as: `nonroot` of the distroless images.
pub(crate) const NONROOT: u32 = 65532;
/// Where TLS clients look for certificate authorities.
pub(crate) const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
/// Folder of the programs.
pub(crate) const PROGRAMS: &str = "usr/local/bin";
/// Folder of a model, which KServe's image volumes and modelcars mount.
pub(crate) const MODELS: &str = "models";

const LICENCE_PATH: &str = "usr/share/licenses/llmd/LICENSE";
const LICENCE: &str = include_str!("../../../LICENSE");
const PASSWD: &str = include_str!("../../../images/rootfs/etc/passwd");
const GROUP: &str = include_str!("../../../images/rootfs/etc/group");

/// One entry of a file tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    /// A folder: rights, owner.
    Folder { mode: u32, owner: u32 },
    /// A file that root owns: rights, content.
    File { mode: u32, content: Vec<u8> },
    /// A symbolic link: target.
    Link(String),
}

/// Entries by path, without a leading slash. Iterating goes through folders before what lies in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<String, Node>);

impl Tree {
    /// Adds an entry, and the folders above it where they are missing.
    pub(crate) fn add(&mut self, path: &str, node: Node) {
        for (end, _) in path.match_indices('/') {
            let above = Node::Folder { mode: 0o755, owner: 0 };
            self.0.entry(path[..end].to_owned()).or_insert(above);
        }
        self.0.insert(path.to_owned(), node);
    }

    /// Path and entry, folders first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(path, node)| (path.as_str(), node))
    }
}

/// What all programs share. It changes rarely, so it is a layer of its own and pulled once for all of them.
pub(crate) fn base(certificates: &str) -> Tree {
    let mut tree = Tree::default();
    tree.add("etc/group", text(GROUP));
    tree.add("etc/passwd", text(PASSWD));
    tree.add(CERTIFICATES, text(certificates));
    tree.add("home/nonroot", Node::Folder { mode: 0o700, owner: NONROOT });
    tree.add("tmp", Node::Folder { mode: 0o1777, owner: 0 });
    tree.add(LICENCE_PATH, text(LICENCE));
    tree
}

/// The program, its other names, and the list of what it was made from.
pub(crate) fn program(name: &str, program: &Program, executable: Vec<u8>, sbom: Vec<u8>) -> Tree {
    let mut tree = Tree::default();
    tree.add(&format!("{PROGRAMS}/{name}"), Node::File { mode: 0o755, content: executable });
    for link in program.links {
        tree.add(&format!("{PROGRAMS}/{link}"), Node::Link(name.to_owned()));
    }
    tree.add(&sbom_path(name), Node::File { mode: 0o644, content: sbom });
    tree
}

/// A model for everyone to read, and its licence.
pub(crate) fn model(files: Vec<(&str, Vec<u8>)>) -> Tree {
    let mut tree = Tree::default();
    for (name, content) in files {
        tree.add(&format!("{MODELS}/{name}"), Node::File { mode: 0o644, content });
    }
    tree.add(LICENCE_PATH, text(LICENCE));
    tree
}

fn text(text: &str) -> Node {
    Node::File { mode: 0o644, content: text.as_bytes().to_vec() }
}

/// Where an image holds its SBOM.
pub(crate) fn sbom_path(name: &str) -> String {
    format!("usr/share/sbom/{name}.spdx.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_their_content_and_keep_their_rights() {
        let tree = base("certificates");
        let paths: Vec<_> = tree.iter().map(|(path, _)| path).collect();
        let expected = [
            "etc",
            "etc/group",
            "etc/passwd",
            "etc/ssl",
            "etc/ssl/certs",
            "etc/ssl/certs/ca-certificates.crt",
            "home",
            "home/nonroot",
            "tmp",
            "usr",
            "usr/share",
            "usr/share/licenses",
            "usr/share/licenses/llmd",
            "usr/share/licenses/llmd/LICENSE",
        ];
        assert_eq!(paths, expected);
        assert!(tree.iter().any(|it| it == ("tmp", &Node::Folder { mode: 0o1777, owner: 0 })));
    }

    #[test]
    fn the_account_is_the_one_that_images_run_as() {
        assert!(PASSWD.contains(&format!("nonroot:x:{NONROOT}:{NONROOT}:")));
        assert!(GROUP.contains(&format!("nonroot:x:{NONROOT}:")));
    }
}
