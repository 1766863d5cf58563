//! One watch that never ends: a failure is reported once, waited out and tried again.

use std::fmt::{self, Debug};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::report::Report;

/// Objects read at a time: bounds the memory of one answer.
const PAGE: u32 = 100;
/// After the first failure; every further one doubles the pause, until objects are seen again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// While the API server is away: what changed meanwhile is known so soon after it is back.
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(5);
/// What an API that is not installed costs the API server: one request in this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// See the module.
pub struct Watch<K> {
    what: String,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    /// The failure that was reported last, while it lasts.
    failure: Option<String>,
    outage: Backoff,
    absence: Backoff,
    /// When the API server may be asked again.
    resume: Instant,
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
        Self::of(what, watcher(api, config.page_size(PAGE)).boxed())
    }
}

impl<K: Send + 'static> Watch<K> {
    /// A watch that never sees anything.
    #[must_use]
    pub fn nothing() -> Self {
        Self::of(String::new(), futures_util::stream::pending().boxed())
    }

    /// As [`Self::new`], of events that were prepared otherwise: those of a [`watcher`] without pauses.
    #[must_use]
    pub fn of(what: String, events: BoxStream<'static, watcher::Result<Event<K>>>) -> Self {
        let outage = Backoff::new(FIRST_PAUSE, LONGEST_OUTAGE_PAUSE);
        let absence = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { what, events, failure: None, outage, absence, resume: Instant::now() }
    }

    /// Waits for the next event or failure. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Seen<K> {
        tokio::time::sleep_until(self.resume).await;
        match self.events.next().await {
            Some(item) => self.see(item),
            // Watches do not end by themselves.
            None => std::future::pending().await,
        }
    }

    fn see(&mut self, item: watcher::Result<Event<K>>) -> Seen<K> {
        match item {
            Ok(event) => {
                // The first event comes before the API server is asked, so it says nothing.
                if !matches!(event, Event::Init) {
                    self.worked();
                }
                Seen::Event(event)
            }
            Err(error) => self.failed(&error),
        }
    }

    fn worked(&mut self) {
        self.outage.reset();
        self.absence.reset();
        if self.failure.take().is_some() {
            tracing::info!(what = self.what, "the watch works again");
        }
    }

    fn failed(&mut self, error: &watcher::Error) -> Seen<K> {
        let message = Report(error).to_string();
        let (seen, pauses) = if is_not_served(error) {
            (Seen::NotServed, &mut self.absence)
        } else {
            (Seen::Failed(message.clone()), &mut self.outage)
        };
        self.resume = Instant::now() + pauses.next_delay(rand::random());
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::core::Status;

    use super::*;

    /// Another attempt that the API server answers with an error.
    fn attempt(watch: &mut Watch<Pod>, code: u16) -> Seen<Pod> {
        watch.see(Ok(Event::Init));
        let status = Status { code, ..Status::default() };
        watch.see(Err(watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))))
    }

    #[tokio::test]
    async fn what_is_not_there_is_asked_for_ever_more_rarely() {
        let mut watch = Watch::nothing();
        for _ in 0..10 {
            assert!(matches!(attempt(&mut watch, 404), Seen::NotServed));
        }
        assert!(watch.resume > Instant::now() + LONGEST_PAUSE / 3);
        watch.see(Ok(Event::InitDone));
        attempt(&mut watch, 404);
        assert!(watch.resume <= Instant::now() + FIRST_PAUSE);
    }
    #[tokio::test]
    async fn an_api_server_that_is_away_is_tried_often() {
        let mut watch = Watch::nothing();
        for _ in 0..10 {
            assert!(matches!(attempt(&mut watch, 503), Seen::Failed(_)));
            assert!(watch.resume <= Instant::now() + LONGEST_OUTAGE_PAUSE);
        }
        assert!(watch.resume > Instant::now() + LONGEST_OUTAGE_PAUSE / 3);
    }
}
