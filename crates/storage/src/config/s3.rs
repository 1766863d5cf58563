//! The S3 server and who asks it. In this order: nobody, when anonymous access is asked for; the keys in the
//! environment; the role that the pod's service account may take (web identity); nobody, when nothing is given.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use super::{ConfigError, url};
use crate::args::Environment;

/// Where a pod finds credentials that are not read here. Asking anonymously instead would only hide the mistake.
const UNREAD: [(&str, &str); 4] = [
    (
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "S3 credentials of an agent (AWS_CONTAINER_CREDENTIALS_FULL_URI): annotate the service account with \
         eks.amazonaws.com/role-arn, or give it a Secret with keys",
    ),
    (
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "S3 credentials of an agent (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI): give the service account a Secret \
         with keys",
    ),
    (
        "AWS_SHARED_CREDENTIALS_FILE",
        "S3 credentials in a file (AWS_SHARED_CREDENTIALS_FILE): give the service account a Secret with keys",
    ),
    ("AWS_PROFILE", "S3 credentials of a profile (AWS_PROFILE): give the service account a Secret with keys"),
];

/// The S3 server.
#[derive(Debug, Clone)]
pub struct S3Config {
    pub endpoint: Url,
    pub region: String,
    pub access: S3Access,
    /// Whether the bucket is part of the host name.
    pub virtual_host: bool,
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum S3Access {
    Anonymous,
    Keys(S3Keys),
    WebIdentity(WebIdentity),
}

/// Keys of an S3 account.
#[derive(Clone)]
pub struct S3Keys {
    pub id: String,
    pub secret: String,
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Keys").finish_non_exhaustive()
    }
}

/// A role that whoever holds the token may take, as a cluster gives it to a service account.
#[derive(Debug, Clone)]
pub struct WebIdentity {
    pub role_arn: String,
    /// Replaced by the cluster before the token in it expires.
    pub token_file: PathBuf,
    /// Names the session in the account's audit log.
    pub session_name: String,
    /// The security token service.
    pub endpoint: Url,
}

impl S3Config {
    /// What the environment says.
    ///
    /// # Errors
    /// When a variable cannot be used, half of a credential is missing, or the credentials are of a kind that is
    /// not supported.
    pub fn new(environment: &Environment) -> Result<Self, ConfigError> {
        if environment.is_true("S3_USE_ACCELERATE") {
            return Err(ConfigError::NotSupported("S3 transfer acceleration (S3_USE_ACCELERATE)"));
        }
        let region = ["AWS_DEFAULT_REGION", "AWS_REGION"].into_iter().find_map(|it| environment.get(it));
        let region = region.unwrap_or("us-east-1").to_owned();
        let endpoint =
            url(environment, "AWS_ENDPOINT_URL", &format!("https://s3.{region}.{}", domain(&region)))?;
        let virtual_host = environment.is_true("S3_USER_VIRTUAL_BUCKET") || is_amazon(&endpoint);
        let access = access(environment, &endpoint, &region)?;
        Ok(Self { endpoint, region, access, virtual_host })
    }
}

fn access(environment: &Environment, endpoint: &Url, region: &str) -> Result<S3Access, ConfigError> {
    if environment.is_true("awsAnonymousCredential") {
        return Ok(S3Access::Anonymous);
    }
    if let Some((id, secret)) = pair(environment, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")? {
        let session_token = environment.get("AWS_SESSION_TOKEN").map(str::to_owned);
        return Ok(S3Access::Keys(S3Keys { id, secret, session_token }));
    }
    if let Some((role_arn, token_file)) = pair(environment, "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE")? {
        return Ok(S3Access::WebIdentity(WebIdentity {
            role_arn,
            token_file: token_file.into(),
            session_name: environment.get("AWS_ROLE_SESSION_NAME").unwrap_or("llmd-storage").to_owned(),
            endpoint: token_service(environment, endpoint, region)?,
        }));
    }
    let unread = UNREAD.iter().find(|(name, _)| environment.get(name).is_some());
    unread.map_or(Ok(S3Access::Anonymous), |(_, problem)| Err(ConfigError::NotSupported(problem)))
}

/// Two variables that go together.
fn pair(
    environment: &Environment,
    first: &'static str,
    second: &'static str,
) -> Result<Option<(String, String)>, ConfigError> {
    match (environment.get(first), environment.get(second)) {
        (Some(a), Some(b)) => Ok(Some((a.to_owned(), b.to_owned()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::Half { given: first, missing: second }),
        (None, Some(_)) => Err(ConfigError::Half { given: second, missing: first }),
    }
}

/// Servers other than Amazon's hand out sessions at the address of the buckets.
fn token_service(environment: &Environment, s3: &Url, region: &str) -> Result<Url, ConfigError> {
    let amazon = format!("https://sts.{region}.{}", domain(region));
    let default = if is_amazon(s3) { amazon.as_str() } else { s3.as_str() };
    url(environment, "AWS_ENDPOINT_URL_STS", default)
}

fn is_amazon(endpoint: &Url) -> bool {
    let host = endpoint.host_str().unwrap_or_default();
    ["amazonaws.com", "amazonaws.com.cn"].iter().any(|it| host.ends_with(it))
}

/// Domain of Amazon's services in a region.
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Result<S3Config, String> {
        S3Config::new(&variables.iter().copied().collect()).map_err(|it| it.to_string())
    }

    #[test]
    fn nobody_asks_only_when_nothing_is_given_or_that_is_wanted() {
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")];
        assert!(matches!(config(&[]).unwrap().access, S3Access::Anonymous));
        assert!(matches!(config(&keys).unwrap().access, S3Access::Keys(_)));
        let unwanted = [&keys[..], &[("awsAnonymousCredential", "true")]].concat();
        assert!(matches!(config(&unwanted).unwrap().access, S3Access::Anonymous));
        for (name, _) in UNREAD {
            assert!(config(&[(name, "x")]).unwrap_err().starts_with("not supported: "));
        }
    }

    #[test]
    fn half_a_credential_is_an_error() {
        let error = config(&[("AWS_ROLE_ARN", "arn")]).unwrap_err();
        assert_eq!(error, "AWS_ROLE_ARN is set without AWS_WEB_IDENTITY_TOKEN_FILE");
        let error = config(&[("AWS_SECRET_ACCESS_KEY", "key")]).unwrap_err();
        assert_eq!(error, "AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID");
    }

    #[test]
    fn the_token_service_is_the_one_beside_the_buckets() {
        let role =
            [("AWS_ROLE_ARN", "arn"), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_REGION", "eu-west-1")];
        for (more, expected) in [
            (&[][..], "https://sts.eu-west-1.amazonaws.com/"),
            (&[("AWS_ENDPOINT_URL", "https://s3.amazonaws.com")], "https://sts.eu-west-1.amazonaws.com/"),
            (&[("AWS_ENDPOINT_URL", "http://minio:9000")], "http://minio:9000/"),
            (&[("AWS_ENDPOINT_URL_STS", "http://sts:1")], "http://sts:1/"),
        ] {
            let S3Access::WebIdentity(identity) = config(&[&role[..], more].concat()).unwrap().access else {
                unreachable!("a role was given")
            };
            assert_eq!(identity.endpoint.as_str(), expected);
        }
    }
}
