use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// A safetensors file of bf16 tensors, each filled with its name's length.
fn write(path: &Path, tensors: &[(&str, &[usize])]) {
    let (mut header, mut end) = (BTreeMap::new(), 0);
    for (name, shape) in tensors {
        let len = 2 * shape.iter().product::<usize>();
        let entry = json!({"dtype": "BF16", "shape": shape, "data_offsets": [end, end + len]});
        header.insert(*name, entry);
        end += len;
    }
    let header = serde_json::to_vec(&header).unwrap();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(&header);
    for (name, shape) in tensors {
        file.extend(vec![name.len() as u8; 2 * shape.iter().product::<usize>()]);
    }
    fs::write(path, file).unwrap();
}

#[test]
fn one_file() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join(SINGLE), &[("a", &[2, 3]), ("bb", &[4])]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let tensor = checkpoint.tensor("bb").unwrap();
    assert_eq!(
        (tensor.element_type, tensor.shape, &*tensor.bytes),
        (ElementType::Bf16, vec![4], &[2; 8][..])
    );
    assert_eq!(checkpoint.total_bytes(), 20);
    assert!(matches!(checkpoint.tensor("c"), Err(LoadError::Missing { name }) if name == "c"));
}

#[test]
fn shards_by_index() {
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("one.safetensors"), &[("a", &[2])]);
    write(&folder.path().join("two.safetensors"), &[("bb", &[3]), ("ccc", &[1])]);
    let index =
        json!({"weight_map": {"a": "one.safetensors", "bb": "two.safetensors", "ccc": "two.safetensors"}});
    fs::write(folder.path().join(INDEX), index.to_string()).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(&*checkpoint.tensor("ccc").unwrap().bytes, &[3; 2]);
    assert_eq!(checkpoint.total_bytes(), 12);
}

#[test]
fn an_index_stays_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["../x.safetensors", "/etc/passwd", "a/b", ".."] {
        fs::write(folder.path().join(INDEX), json!({"weight_map": {"a": name}}).to_string()).unwrap();
        let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is no file name"), "{error}");
    }
}

#[test]
fn missing_and_truncated_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("model.safetensors"), "{error}");
    let path = folder.path().join(SINGLE);
    write(&path, &[("a", &[200])]);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("is damaged") && error.contains("model.safetensors"), "{error}");
}

#[test]
fn a_shape_that_disagrees_with_the_bytes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SINGLE);
    write(&path, &[("a", &[20])]);
    let text = fs::read(&path).unwrap();
    let changed: Vec<u8> = String::from_utf8_lossy(&text).replace("[20]", "[21]").into_bytes();
    fs::write(&path, changed).unwrap();
    assert!(matches!(Checkpoint::open(folder.path()), Err(LoadError::Damaged { .. })));
}

/// Whether a checkpoint of this one file is refused as damaged.
fn is_refused(file: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(SINGLE), file).unwrap();
    matches!(Checkpoint::open(folder.path()), Err(LoadError::Damaged { .. }))
}

fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), header in ".{0,100}") {
        prop_assert!(is_refused(&bytes));
        prop_assert!(is_refused(&with_header(&header, &bytes)));
    }

    #[test]
    fn hostile_offsets_are_refused(start: usize, end: usize, shape in prop::collection::vec(any::<usize>(), 1..4)) {
        let header = format!(r#"{{"w":{{"dtype":"U8","shape":{shape:?},"data_offsets":[{start},{end}]}}}}"#);
        prop_assert!(is_refused(&with_header(&header, &[0; 64])));
        let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{end}],"data_offsets":[0,{end}]}}}}"#);
        prop_assert!(is_refused(&with_header(&header, &[0; 64])));
    }
}
