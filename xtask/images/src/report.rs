//! The table of what was made.

/// Sizes of one image, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Name and platform.
    pub(crate) image: String,
    /// The program with its symbols; `None` without a program.
    pub(crate) linked: Option<u64>,
    /// The layers, as registries store them and machines pull them.
    pub(crate) compressed: u64,
    /// The layers, as they lie on a machine.
    pub(crate) unpacked: u64,
    /// Digest of the manifest.
    pub(crate) digest: String,
}

/// The rows as aligned columns; sizes in megabytes of 10⁶ bytes.
pub(crate) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.image.len()).max().unwrap_or_default();
    let head = format!("{:width$}  {:>8}  {:>8}  {:>8}  manifest", "image", "linked", "unpacked", "pulled");
    let lines = rows.iter().map(|row| {
        let linked = row.linked.map_or_else(|| "-".to_owned(), megabytes);
        let [unpacked, pulled] = [row.unpacked, row.compressed].map(megabytes);
        format!("{:width$}  {linked:>8}  {unpacked:>8}  {pulled:>8}  {}", row.image, row.digest)
    });
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

fn megabytes(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_to_a_tenth() {
        let row = Row {
            image: "llmd-epp linux/amd64".to_owned(),
            linked: Some(49_949_999),
            compressed: 4_950_000,
            unpacked: 12_000_000,
            digest: "sha256:0".to_owned(),
        };
        let model = Row { image: "llmd-tiny linux/amd64".to_owned(), linked: None, ..row.clone() };
        let expected = "image                    linked  unpacked    pulled  manifest\n\
                        llmd-epp linux/amd64    49.9 MB   12.0 MB    5.0 MB  sha256:0\n\
                        llmd-tiny linux/amd64         -   12.0 MB    5.0 MB  sha256:0";
        assert_eq!(table(&[row, model]), expected);
    }
}
