//! What can be wrong with a configuration. Every message names the plugin or field and says what to do.

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not YAML of the expected shape.
    #[error("cannot parse the endpoint picker configuration")]
    Parse(#[source] Box<serde_saphyr::Error>),
    /// Another API version.
    #[error("unknown apiVersion {0:?}: use {current:?} or {legacy:?}",
            current = super::API_VERSIONS[0], legacy = super::API_VERSIONS[1])]
    ApiVersion(String),
    /// Another kind.
    #[error("unknown kind {0:?}: use {kind:?}", kind = super::KIND)]
    Kind(String),
    /// Plugins whose type does not exist here.
    #[error("unknown plugin type {}; known: {}", quoted(types), known.join(", "))]
    UnknownTypes {
        /// The types, each once.
        types: Vec<String>,
        /// The types there are.
        known: Vec<&'static str>,
    },
    /// Two plugins or profiles share a name.
    #[error("two {kind} are called {name:?}: names are unique")]
    DuplicateName {
        /// `plugins` or `scheduling profiles`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Parameters of the wrong shape.
    #[error("plugin {plugin:?} of type {type_name:?}: wrong parameters")]
    Parameters {
        /// The plugin.
        plugin: String,
        /// Its type.
        type_name: &'static str,
        /// Names the field.
        #[source]
        source: serde_json::Error,
    },
    /// A parameter with an unusable value.
    #[error("plugin {plugin:?} of type {type_name:?}: {field} {problem}")]
    Invalid {
        /// The plugin.
        plugin: String,
        /// Its type.
        type_name: &'static str,
        /// The parameter.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A reference to a plugin that does not exist.
    #[error("{from} refers to plugin {name:?}, which is not configured; configured: {}", configured.join(", "))]
    NoSuchPlugin {
        /// Who refers.
        from: String,
        /// To what.
        name: String,
        /// What there is.
        configured: Vec<String>,
    },
    /// A reference to a plugin that cannot do what is asked of it.
    #[error("{from} needs a {expected}, but plugin {name:?} of type {type_name:?} is not one")]
    WrongExtension {
        /// Who refers.
        from: String,
        /// To what.
        name: String,
        /// Its type.
        type_name: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// Plugins that refer to each other in a circle.
    #[error("plugins refer to each other in a circle: {}", .0.join(" -> "))]
    Circle(Vec<String>),
    /// A profile that cannot run.
    #[error("scheduling profile {profile:?}: {problem}")]
    Profile {
        /// The profile.
        profile: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Profiles and profile handler do not fit.
    #[error("{0}")]
    Handler(String),
    /// A feature this picker does not have.
    #[error("{field} is not supported: {advice}")]
    Unsupported {
        /// The field.
        field: String,
        /// What to do instead.
        advice: &'static str,
    },
}

fn quoted(types: &[String]) -> String {
    types.iter().map(|it| format!("{it:?}")).collect::<Vec<_>>().join(", ")
}
