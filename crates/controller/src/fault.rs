//! An error of the API server or on the way to it, in the server's own words.

use std::error::Error;
use std::fmt;

/// Wraps the client's error, whose text repeats the whole reply.
#[derive(Debug)]
pub struct Fault(Box<kube::Error>);

impl Fault {
    /// HTTP status of the API server's refusal; `None` when it gave no answer.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match &*self.0 {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// Whether nothing can be made any more because the namespace is being deleted.
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        let kube::Error::Api(status) = &*self.0 else { return false };
        let mut causes = status.details.iter().flat_map(|it| &it.causes);
        causes.any(|it| it.reason == "NamespaceTerminating")
    }
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            kube::Error::Api(status) if !status.message.is_empty() => f.write_str(&status.message),
            other => other.fmt(f),
        }
    }
}

// The text of the wrapped error holds that of its source.
impl Error for Fault {}
