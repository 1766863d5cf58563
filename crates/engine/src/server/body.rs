//! Request bodies: media type, size and time limits, and a place for heavy work on them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use llmd_api::openai::request::InvalidBody;
use tokio::sync::Semaphore;

use super::error::ApiError;
use super::state::App;

/// For a whole body to arrive.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// Bodies above this many bytes are parsed and tokenised off the event loop.
const INLINE_BYTES: usize = 8 << 10;
/// Bytes of such bodies that are prepared at a time. Tokenising takes more than a hundred times its text in memory, so
/// the largest bodies take turns; who finds no room waits in line.
const PREPARED_BYTES: u32 = 8 << 20;

/// The bytes of a body that says it is JSON.
#[derive(Debug)]
pub struct JsonBody(pub Bytes);

impl FromRequest<Arc<App>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, ApiError> {
        if !is_json(&request) {
            return Err(invalid("the content type must be application/json"));
        }
        let limit = app.http.max_body_bytes;
        let declared = request.headers().get(header::CONTENT_LENGTH);
        let declared: Option<usize> = declared.and_then(|it| it.to_str().ok()?.parse().ok());
        if declared.is_some_and(|it| it > limit) {
            return Err(ApiError::BodyTooLarge { limit });
        }
        let read = tokio::time::timeout(READ_TIMEOUT, to_bytes(request.into_body(), limit));
        match read.await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            // A body that ends early has nobody left to read this, so the limit is what is worth saying.
            Ok(Err(_)) => Err(ApiError::BodyTooLarge { limit }),
            Err(_) => Err(ApiError::BodyTimeout),
        }
    }
}

fn is_json(request: &Request) -> bool {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    let media_type = value.and_then(|it| it.split(';').next()).map(str::trim);
    media_type.is_some_and(|it| it.eq_ignore_ascii_case("application/json"))
}

fn invalid(message: &str) -> ApiError {
    ApiError::Body(InvalidBody { param: None, message: message.to_owned() })
}

/// Where bodies are parsed and tokenised.
#[derive(Debug)]
pub struct Preparation {
    room: Arc<Semaphore>,
}

impl Default for Preparation {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(PREPARED_BYTES as usize)) }
    }
}

impl Preparation {
    /// Runs `work` on a body of `len` bytes: here when it is short, on a blocking thread when it is not.
    ///
    /// # Errors
    /// Those of `work`, and [`ApiError::Generation`] when it panics.
    pub async fn run<T: Send + 'static>(
        &self,
        len: usize,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if len <= INLINE_BYTES {
            return work();
        }
        let n_bytes = u32::try_from(len).unwrap_or(u32::MAX).min(PREPARED_BYTES);
        let room = Arc::clone(&self.room).acquire_many_owned(n_bytes).await;
        let prepared = tokio::task::spawn_blocking(move || {
            // Held by the work itself, which goes on when the client goes away.
            let _room = room;
            work()
        });
        prepared.await.unwrap_or_else(|error| {
            tracing::error!(%error, "preparing a request failed");
            Err(ApiError::Generation)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn the_largest_bodies_take_turns_also_when_a_client_goes_away() {
        let (preparation, n_running) = (Preparation::default(), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let n_running = Arc::clone(&n_running);
            preparation.run(usize::MAX, move || {
                let others = n_running.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(30));
                n_running.fetch_sub(1, Ordering::SeqCst);
                Ok(others)
            })
        };
        assert!(tokio::time::timeout(Duration::from_millis(5), work()).await.is_err(), "the client is gone");
        assert_eq!(tokio::join!(work(), work()), (Ok(0), Ok(0)));
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error_and_gives_its_room_back() {
        let preparation = Preparation::default();
        for _ in 0..2 {
            let failed: Result<(), _> = preparation.run(usize::MAX, || panic!("as asked")).await;
            assert_eq!(failed, Err(ApiError::Generation));
        }
    }
}
