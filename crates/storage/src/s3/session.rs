//! Sessions of a role: the pod's token is exchanged for keys that last about an hour.
//!
//! The token service's request is `AssumeRoleWithWebIdentity`, version 2011-06-15:
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use instant_xml::FromXml;

use super::time;
use crate::client::{Client, answer, retry, shown};
use crate::config::{S3Keys, WebIdentity};
use crate::error::Error;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const VERSION: &str = "2011-06-15";
/// A session that ends within this time is replaced.
const MARGIN: Duration = Duration::from_secs(5 * 60);

/// Keys for some time.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) keys: S3Keys,
    expires: SystemTime,
}

impl Session {
    pub(super) fn lasts(&self, now: SystemTime) -> bool {
        now + MARGIN < self.expires
    }
}

#[derive(FromXml)]
#[xml(rename = "AssumeRoleWithWebIdentityResponse", ns(NAMESPACE))]
struct Granted {
    result: GrantedResult,
}

#[derive(FromXml)]
#[xml(rename = "AssumeRoleWithWebIdentityResult", ns(NAMESPACE))]
struct GrantedResult {
    credentials: GrantedKeys,
}

#[derive(FromXml)]
#[xml(rename = "Credentials", ns(NAMESPACE))]
struct GrantedKeys {
    #[xml(rename = "AccessKeyId")]
    id: String,
    #[xml(rename = "SecretAccessKey")]
    secret: String,
    #[xml(rename = "SessionToken")]
    token: String,
    #[xml(rename = "Expiration")]
    expiration: String,
}

#[derive(FromXml)]
#[xml(rename = "ErrorResponse", ns(NAMESPACE))]
struct Refused {
    error: Refusal,
}

#[derive(FromXml)]
#[xml(rename = "Error", ns(NAMESPACE))]
struct Refusal {
    #[xml(rename = "Code")]
    code: String,
    #[xml(rename = "Message")]
    message: String,
}

/// Takes the role, with the token as it is now.
///
/// # Errors
/// When the token cannot be read, or the token service does not answer or refuses.
pub(super) async fn begin(client: &Client, identity: &WebIdentity) -> Result<Session, Error> {
    let token = std::fs::read_to_string(&identity.token_file)
        .map_err(|source| Error::Token { path: identity.token_file.clone(), source })?;
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", VERSION),
        ("RoleArn", identity.role_arn.as_str()),
        ("RoleSessionName", identity.session_name.as_str()),
        ("WebIdentityToken", token.trim()),
    ];
    let body = retry(client.limits(), async || {
        let (status, body) = client.post_form(&identity.endpoint, &form).await?;
        if status.is_success() { Ok(body) } else { Err(refusal(identity, status, &body)) }
    })
    .await?;
    read(&body).map_err(|it| answer(&identity.endpoint, it))
}

fn read(body: &[u8]) -> Result<Session, Box<dyn std::error::Error + Send + Sync>> {
    let granted: Granted = instant_xml::from_str(std::str::from_utf8(body)?)?;
    let GrantedKeys { id, secret, token, expiration } = granted.result.credentials;
    let expires = time(&expiration).ok_or("the session's expiration is no time")?;
    Ok(Session { keys: S3Keys { id, secret, session_token: Some(token) }, expires })
}

/// The service's own words, where it has some; a busy one is asked again.
fn refusal(identity: &WebIdentity, status: StatusCode, body: &[u8]) -> Error {
    let text = std::str::from_utf8(body).unwrap_or_default();
    match instant_xml::from_str::<Refused>(text) {
        Ok(it) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            Error::Role { role: identity.role_arn.clone(), code: it.error.code, message: it.error.message }
        }
        _ => Error::Status { url: shown(&identity.endpoint), status },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_replaced_before_it_ends() {
        let body = format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"{NAMESPACE}\"><AssumeRoleWithWebIdentityResult>\
             <SubjectFromWebIdentityToken>s</SubjectFromWebIdentityToken><Credentials>\
             <AccessKeyId>id</AccessKeyId><SecretAccessKey>a/b+c=</SecretAccessKey>\
             <SessionToken>t</SessionToken><Expiration>2026-01-01T01:00:00Z</Expiration></Credentials>\
             </AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>r</RequestId></ResponseMetadata>\
             </AssumeRoleWithWebIdentityResponse>"
        );
        let session = read(body.as_bytes()).unwrap();
        assert_eq!(session.keys.secret, "a/b+c=");
        assert!(session.lasts(time("2026-01-01T00:54:00Z").unwrap()));
        assert!(!session.lasts(time("2026-01-01T00:56:00Z").unwrap()));
    }
}
