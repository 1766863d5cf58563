//! The command line and the environment, as they were given.

use std::collections::BTreeMap;

use clap::Parser;

const HELP: &str = "\
Credentials, servers and certificates come from the environment: HF_TOKEN, HF_ENDPOINT; AWS_ACCESS_KEY_ID with
AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE, or awsAnonymousCredential=true;
AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, S3_USER_VIRTUAL_BUCKET, S3_VERIFY_SSL; <host>-headers (a JSON object);
CA_BUNDLE_VOLUME_MOUNT_POINT, AWS_CA_BUNDLE; STORAGE_ALLOW_PATTERNS (a JSON list of globs).

Exit codes: 0 everything is there; 1 a download failed; 2 arguments or environment are wrong; 130 stopped by
SIGINT; 143 stopped by SIGTERM. What was downloaded until then is kept, and the next run continues it.";

/// Downloads models before a server starts.
#[derive(Debug, Clone, Parser)]
#[command(name = "llmd-storage", version, after_help = HELP)]
pub struct Args {
    /// Pairs of a URI (hf://, s3://, https://, http:// or an absolute path) and the folder it goes to.
    #[arg(required = true, value_name = "URI DESTINATION")]
    pub pairs: Vec<String>,
}

/// Environment variables; the controller passes credentials and servers in them.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables of this process. Those that are no text are left out.
    #[must_use]
    pub fn read() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of a variable, unless it is empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|it| !it.is_empty())
    }

    /// Whether a variable says yes.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|it| matches!(it.to_ascii_lowercase().as_str(), "1" | "true" | "yes"))
    }

    /// Whether a variable says no.
    #[must_use]
    pub fn is_false(&self, name: &str) -> bool {
        self.get(name).is_some_and(|it| matches!(it.to_ascii_lowercase().as_str(), "0" | "false" | "no"))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(variables: T) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
