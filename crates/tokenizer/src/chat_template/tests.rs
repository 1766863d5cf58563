use serde_json::json;

use super::*;

fn tiny() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny")
}
