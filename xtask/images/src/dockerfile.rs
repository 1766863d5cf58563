//! The Dockerfile for those who build with BuildKit says what the code says.

use crate::catalogue::RECIPES;
use crate::platform::Platform;
use crate::tree::{CERTIFICATES, NONROOT, PROGRAMS};

const DOCKERFILE: &str = include_str!("../../../images/Dockerfile");

/// Words of the Dockerfile, so that line breaks do not matter.
fn says(phrase: &str) -> bool {
    let words = |text: &str| text.split_whitespace().filter(|it| *it != "\\").collect::<Vec<_>>().join(" ");
    words(DOCKERFILE).contains(&words(phrase))
}

#[test]
fn it_runs_programs_from_the_same_places_as_the_same_user() {
    assert!(says(&format!("USER {NONROOT}:{NONROOT}")));
    assert!(says(&format!("ENV PATH=/{PROGRAMS}:/usr/bin:/bin")));
    assert!(says(&format!("ENV SSL_CERT_FILE=/{CERTIFICATES}")));
    for platform in [Platform::Amd64, Platform::Arm64] {
        assert!(says(&format!("{}) target={} ;;", platform.architecture(), platform.target())), "{platform}");
    }
}

#[test]
fn it_builds_the_same_packages_and_makes_the_same_links() {
    for (recipe, program) in RECIPES.iter().filter_map(|it| Some((it, it.program()?))) {
        assert!(says(&format!("--package {}", program.package)), "{}", recipe.name);
        for link in program.links {
            assert!(says(&format!("ln -s {} \"$root/{PROGRAMS}/{link}\"", recipe.name)), "{link}");
        }
    }
}
