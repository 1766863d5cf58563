//! Our schemas against the upstream CRDs, field by field.

use llmd_api::crd::{self, Variant};

use crate::upstream;

#[test]
fn dump() {
    for (variant, name) in [(Variant::Full, "full"), (Variant::Slim, "slim")] {
        for definition in crd::all(variant) {
            std::fs::write(format!("/tmp/crd-{name}-{}.json", definition.name), definition.object.to_string()).unwrap();
            println!("{name} {} {}", definition.name, definition.object.to_string().len());
        }
    }
    let _ = upstream::path("crds");
}
