//! `SHA256SUMS`, as `sha256sum --check` reads it.

use sha2::{Digest, Sha256};

use super::Files;
use crate::blob::hex;

/// One line a file, sorted by path.
pub(super) fn of(files: &Files, others: &Files) -> String {
    let mut lines: Vec<_> = files.iter().chain(others).collect();
    lines.sort_by_key(|(path, _)| *path);
    lines.into_iter().map(|(path, bytes)| format!("{}  {path}\n", hex(&Sha256::digest(bytes)))).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn sha256sum_accepts_them() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::from([("b.txt".to_owned(), b"b".to_vec()), ("d/c.txt".to_owned(), vec![])]);
        let others = Files::from([("a.txt".to_owned(), b"a".to_vec())]);
        for files in [&files, &others] {
            super::super::write(folder.path(), files).unwrap();
        }
        let sums = of(&files, &others);
        assert_eq!(sums.lines().map(|it| &it[66..]).collect::<Vec<_>>(), ["a.txt", "b.txt", "d/c.txt"]);
        std::fs::write(folder.path().join("SHA256SUMS"), sums).unwrap();
        let check = || {
            let mut check = Command::new("sha256sum");
            check.current_dir(folder.path()).args(["--check", "--strict", "SHA256SUMS"]).output().unwrap()
        };
        assert!(check().status.success());
        std::fs::write(folder.path().join("b.txt"), "changed").unwrap();
        assert!(!check().status.success());
    }
}
