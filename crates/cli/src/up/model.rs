//! Which model folder `--model` means.

use std::fs;
use std::path::{Path, PathBuf};

use crate::args::Environment;
use crate::state::Model;

/// Folder of the model that ships with the source, from the root of the workspace.
const SHIPPED: &str = "assets/models/llmd-tiny";

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No model was named and the shipped one is not near.
    #[error(
        "the shipped model {SHIPPED} is neither above the llmd binary nor above the working directory: name one with --model"
    )]
    NoShipped,
    /// A path that does not exist.
    #[error("model folder {0} does not exist")]
    Missing(String),
    /// A folder without `config.json`.
    #[error("{} has no config.json: --model wants a Hugging Face model folder", .0.display())]
    NoConfig(PathBuf),
    /// An id that the local cache does not hold.
    #[error(
        "{id} is neither a folder nor in the Hugging Face cache {}: llmd does not download models, run `hf download {id}` first",
        cache.display()
    )]
    NotCached {
        /// The id.
        id: String,
        /// Where it was looked for.
        cache: PathBuf,
    },
}

/// The folder and the name to serve it under. `near` are the places whose ancestors may hold the shipped model.
///
/// # Errors
/// See [`Error`].
pub fn resolve(given: Option<&str>, environment: &Environment, near: &[PathBuf]) -> Result<Model, Error> {
    let Some(given) = given else {
        let path = find_shipped(near).ok_or(Error::NoShipped)?;
        return Ok(Model { name: name_of(&path), path });
    };
    let path = Path::new(given);
    if path.is_dir() {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        return with_config(Model { name: name_of(&path), path });
    }
    if !is_hub_id(given) {
        return Err(Error::Missing(given.to_owned()));
    }
    let cache = hub_cache(environment);
    match cached_snapshot(&cache, given) {
        Some(path) => with_config(Model { name: given.to_owned(), path }),
        None => Err(Error::NotCached { id: given.to_owned(), cache }),
    }
}

fn with_config(model: Model) -> Result<Model, Error> {
    if model.path.join("config.json").is_file() { Ok(model) } else { Err(Error::NoConfig(model.path)) }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn find_shipped(near: &[PathBuf]) -> Option<PathBuf> {
    let ancestors = near.iter().flat_map(|place| place.ancestors());
    ancestors.map(|it| it.join(SHIPPED)).find(|it| it.join("config.json").is_file())
}

/// `name` or `organisation/name`, of the characters the hub allows.
fn is_hub_id(text: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|it: char| it.is_ascii_alphanumeric())
            && word.chars().all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it))
    };
    match text.split_once('/') {
        Some((organisation, name)) => is_word(organisation) && is_word(name),
        None => is_word(text),
    }
}

fn hub_cache(environment: &Environment) -> PathBuf {
    let default = || environment.home.clone().unwrap_or_default().join(".cache/huggingface");
    environment.hf_home.clone().unwrap_or_else(default).join("hub")
}

/// The snapshot that `refs/main` names, else the last one by name that is whole enough to have a configuration.
fn cached_snapshot(cache: &Path, id: &str) -> Option<PathBuf> {
    let repository = cache.join(format!("models--{}", id.replace('/', "--")));
    let snapshots = repository.join("snapshots");
    if let Ok(revision) = fs::read_to_string(repository.join("refs/main")) {
        let snapshot = snapshots.join(revision.trim());
        if snapshot.is_dir() {
            return Some(snapshot);
        }
    }
    let entries = fs::read_dir(snapshots).ok()?.filter_map(Result::ok).map(|it| it.path());
    entries.filter(|it| it.join("config.json").is_file()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model_folder(path: &Path) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("config.json"), "{}").unwrap();
    }

    #[test]
    fn the_shipped_model_is_found_above_the_binary() {
        let temp = tempfile::tempdir().unwrap();
        let near = [temp.path().join("target/debug")];
        assert!(matches!(resolve(None, &Environment::default(), &near), Err(Error::NoShipped)));
        model_folder(&temp.path().join(SHIPPED));
        let model = resolve(None, &Environment::default(), &near).unwrap();
        assert_eq!((model.name.as_str(), model.path), ("llmd-tiny", temp.path().join(SHIPPED)));
    }

    #[test]
    fn a_folder_needs_a_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let given = temp.path().to_str();
        assert!(matches!(resolve(given, &Environment::default(), &[]), Err(Error::NoConfig(_))));
        model_folder(temp.path());
        assert_eq!(resolve(given, &Environment::default(), &[]).unwrap().path, temp.path());
    }

    #[test]
    fn an_id_is_looked_up_in_the_cache() {
        let temp = tempfile::tempdir().unwrap();
        let environment = Environment { hf_home: Some(temp.path().to_owned()), ..Environment::default() };
        let resolve = || resolve(Some("Qwen/Qwen3-0.6B"), &environment, &[]);
        let error = resolve().unwrap_err().to_string();
        assert!(error.contains("run `hf download Qwen/Qwen3-0.6B` first"), "{error}");

        let repository = temp.path().join("hub/models--Qwen--Qwen3-0.6B");
        model_folder(&repository.join("snapshots/aaa"));
        model_folder(&repository.join("snapshots/bbb"));
        assert!(resolve().unwrap().path.ends_with("bbb"));
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs/main"), "aaa").unwrap();
        let model = resolve().unwrap();
        assert!(model.path.ends_with("aaa"));
        assert_eq!(model.name, "Qwen/Qwen3-0.6B");
    }

    #[test]
    fn what_looks_like_a_path_is_a_missing_folder() {
        for path in ["./nope", "/nope", "a/b/c", "../x"] {
            assert!(
                matches!(resolve(Some(path), &Environment::default(), &[]), Err(Error::Missing(_))),
                "{path}"
            );
        }
    }
}
