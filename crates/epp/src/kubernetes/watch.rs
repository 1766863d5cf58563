//! One watch that never ends: a failure is reported once, waited out and tried again.

use std::fmt::{self, Debug};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use llmd_common::report::Report;
use serde::de::DeserializeOwned;

/// Objects read at a time: bounds the memory of one answer.
const PAGE: u32 = 100;

/// See the module.
pub struct Watch<K> {
    what: String,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    /// The failure that was reported last, while it lasts.
    failure: Option<String>,
}

impl<K> Debug for Watch<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("what", &self.what).finish_non_exhaustive()
    }
}

/// What a watch came to.
#[derive(Debug)]
pub enum Seen<K> {
    /// An event.
    Event(Event<K>),
    /// The API server does not know the kind.
    NotServed,
    /// Something else failed.
    Failed(String),
}

impl<K> Watch<K>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// A watch of the objects that `config` selects; `what` names them in the log.
    #[must_use]
    pub fn new(what: String, api: Api<K>, config: watcher::Config) -> Self {
        let events = watcher(api, config.page_size(PAGE)).default_backoff().boxed();
        Self { what, events, failure: None }
    }
}

impl<K: Send + 'static> Watch<K> {
    /// A watch that never sees anything.
    #[must_use]
    pub fn nothing() -> Self {
        Self { what: String::new(), events: futures_util::stream::pending().boxed(), failure: None }
    }

    /// Waits for the next event or failure. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Seen<K> {
        match self.events.next().await {
            Some(Ok(event)) => {
                if self.failure.take().is_some() {
                    tracing::info!(what = self.what, "the watch works again");
                }
                Seen::Event(event)
            }
            Some(Err(error)) => self.failed(&error),
            // Watches do not end by themselves.
            None => std::future::pending().await,
        }
    }

    fn failed(&mut self, error: &watcher::Error) -> Seen<K> {
        let message = Report(error).to_string();
        let seen = if is_not_served(error) { Seen::NotServed } else { Seen::Failed(message.clone()) };
        if self.failure.as_ref() != Some(&message) {
            match seen {
                Seen::NotServed => tracing::info!(what = self.what, "not served; it is looked for again"),
                _ => tracing::warn!(what = self.what, error = message, "watch failed; it is tried again"),
            }
            self.failure = Some(message);
        }
        seen
    }
}

fn is_not_served(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        watcher::Error::WatchError(status) => status.code == 404,
        _ => false,
    }
}
