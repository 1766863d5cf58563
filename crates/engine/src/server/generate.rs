//! From a checked request to its response, streamed or whole: what chat and completions share.
//!
//! The pieces of all choices are merged as they come. A [`Dialect`] writes them; nothing else differs between the
//! endpoints. Whoever holds the response holds the sequences: when the client goes away and the response is dropped,
//! they are aborted.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SelectAll, select_all};
use futures_util::{StreamExt, stream};
use llmd_api::headers;
use llmd_api::kv_transfer::KvTransferParams;
use llmd_api::openai::request::parse;
use llmd_api::openai::sampling::SamplingFields;
use llmd_api::openai::usage::Usage;

use super::error::ApiError;
use super::sse;
use super::state::{App, InFlight, Serving};
use super::submit::{Piece, Sequence, Start};
use super::usage::Tally;
use super::validate::{Generation, Stream, param};
use crate::output::PositionLogprobs;
use crate::sampling::SamplingParams;
use crate::text::{Assembler, Delta, TextSettings};

/// Longest request id taken from a client; further bytes would only bloat logs.
const MAX_REQUEST_ID: usize = 256;

/// How one endpoint writes its answer.
pub trait Dialect: Send + 'static {
    /// Events of a stream for what one choice gained.
    fn events(&mut self, piece: Piece, usage: Option<Usage>) -> Vec<Bytes>;

    /// The event that carries the usage at the end.
    fn usage_event(&self, usage: Usage) -> Bytes;

    /// The whole answer. `choices` are in index order.
    fn whole(&mut self, choices: Vec<Choice>, usage: Usage) -> Response;
}

/// A finished choice.
#[derive(Debug, Default)]
pub struct Choice {
    /// Everything it gained.
    pub delta: Delta,
    /// When asked for.
    pub prompt_logprobs: Option<Vec<PositionLogprobs>>,
}

impl Choice {
    /// The ending's KV transfer parameters.
    #[must_use]
    pub fn take_kv_transfer(&mut self) -> Option<KvTransferParams> {
        self.delta.ending.as_mut()?.kv_transfer.take()
    }
}

/// A request ready to run.
#[derive(Debug)]
pub struct Prepared<D> {
    /// One a choice, in index order.
    pub starts: Vec<Start>,
    /// Writes the answer.
    pub dialect: D,
    /// Counts the answer.
    pub tally: Tally,
    /// `None` for one JSON answer.
    pub stream: Option<Stream>,
}

/// Checks the body of a request of one endpoint.
pub type Prepare<D> = fn(&Serving, &HeaderMap, &[u8]) -> Result<Prepared<D>, ApiError>;

/// What identifies a response.
#[derive(Debug, Clone)]
pub struct Head {
    /// `chatcmpl-…` or `cmpl-…`.
    pub id: String,
    /// Unix seconds.
    pub created: u64,
    /// First served name.
    pub model: String,
}

impl Head {
    /// A head for a request that arrives now. The id's base comes from the `X-Request-Id` header, then from the
    /// body, then from chance.
    #[must_use]
    pub fn new(prefix: &str, http: &HeaderMap, in_body: Option<&str>, model: &str) -> Self {
        let in_header = http.get(headers::REQUEST_ID).and_then(|it| it.to_str().ok());
        let is_usable = |it: &&str| !it.is_empty() && it.len() <= MAX_REQUEST_ID;
        let base = in_header.filter(is_usable).or_else(|| in_body.filter(is_usable));
        let base = base.map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned);
        Self { id: format!("{prefix}-{base}"), created: unix_seconds(), model: model.to_owned() }
    }
}

/// Seconds since 1970.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_secs())
}

/// One start for each prompt and choice, numbered as the response numbers them.
///
/// # Errors
/// When a prompt leaves no room for an answer, or there are more sequences than any queue holds.
pub fn starts(
    generation: &Generation,
    serving: &Serving,
    request_id: &str,
    prompts: &[Vec<u32>],
) -> Result<Vec<Start>, ApiError> {
    let (n_sequences, limit) =
        (prompts.len().saturating_mul(generation.n as usize), serving.rules.max_sequences);
    if n_sequences > limit {
        let rule =
            format!("times the number of prompts is {n_sequences}, and this server queues at most {limit}");
        return Err(param("n", rule));
    }
    let mut starts = Vec::with_capacity(prompts.len() * generation.n as usize);
    let mut index = 0;
    for prompt in prompts {
        for choice in 0..generation.n {
            let sampling = generation.sampling(prompt.len(), choice)?;
            // A transfer moves one prompt once; the other choices find its blocks in the prefix cache.
            let kv_transfer = if index == 0 { generation.kv_transfer.clone() } else { None };
            let text = text_settings(generation, &sampling, kv_transfer.as_ref());
            let assembler = Assembler::new(serving.prompter.tokenizer.clone(), prompt, text);
            starts.push(Start {
                index,
                request_id: if index == 0 { request_id.to_owned() } else { format!("{request_id}-{index}") },
                prompt: prompt.clone(),
                sampling,
                cache_salt: generation.cache_salt.clone(),
                priority: generation.priority,
                kv_transfer,
                assembler: assembler.map_err(|_| ApiError::Generation)?,
            });
            index += 1;
        }
    }
    Ok(starts)
}

/// How the tokens of a sequence become text.
///
/// The one token of a prefill leg is shown to nobody, and the engine's own end of the sequence says where the prompt's
/// blocks are: no stop string may end it before.
fn text_settings(
    generation: &Generation,
    sampling: &SamplingParams,
    kv_transfer: Option<&KvTransferParams>,
) -> TextSettings {
    let is_prefill_leg = kv_transfer.is_some_and(|it| it.do_remote_decode) && sampling.max_tokens == 1;
    let stop = if is_prefill_leg { Arc::default() } else { Arc::clone(&generation.text.stop) };
    TextSettings { stop, ..generation.text.clone() }
}

/// Checks a body with `prepare`, runs the request and answers it.
///
/// # Errors
/// When the body is no legal request, it cannot be queued or, for a whole answer, fails later. A failure in a started
/// stream is an event of it.
pub async fn answer<D: Dialect>(
    app: &App,
    headers: HeaderMap,
    body: Bytes,
    prepare: Prepare<D>,
) -> Result<Response, ApiError> {
    let (serving, in_flight) = (app.serving()?, app.begin());
    let rank = asked_rank(&headers);
    let work = {
        let (serving, body) = (Arc::clone(&serving), body.clone());
        move || prepare(&serving, &headers, &body)
    };
    let result = match app.preparation.run(body.len(), work).await {
        Ok(prepared) => respond(&serving, in_flight, prepared, rank).await,
        Err(error) => Err(error),
    };
    if result.is_err() {
        decline(&serving, &body);
    }
    result
}

/// The data-parallel rank that a request asks for. As in vLLM, a value that names none is ignored.
fn asked_rank(headers: &HeaderMap) -> Option<u32> {
    headers.get(headers::DATA_PARALLEL_RANK)?.to_str().ok()?.trim().parse().ok()
}

/// Tells the producer of a request's KV blocks that they will not be pulled.
fn decline(serving: &Serving, body: &[u8]) {
    let fields = parse::<SamplingFields>(body).ok();
    if let Some(params) = fields.and_then(|it| it.kv_transfer_params).filter(|it| it.do_remote_prefill) {
        serving.submitter.decline(params);
    }
}

async fn respond<D: Dialect>(
    serving: &Serving,
    in_flight: InFlight,
    prepared: Prepared<D>,
    rank: Option<u32>,
) -> Result<Response, ApiError> {
    let Prepared { starts, dialect, tally, stream } = prepared;
    let n_choices = starts.len();
    let sequences = select_all(serving.submitter.start(starts, tally.n(), rank)?);
    match stream {
        Some(options) => Ok(streamed(Answer { sequences, dialect, tally, options, _in_flight: in_flight })),
        None => whole(sequences, dialect, tally, n_choices).await,
    }
}

async fn whole<D: Dialect>(
    mut sequences: SelectAll<Sequence>,
    mut dialect: D,
    mut tally: Tally,
    n_choices: usize,
) -> Result<Response, ApiError> {
    let mut choices: Vec<Choice> = std::iter::repeat_with(Choice::default).take(n_choices).collect();
    while let Some(piece) = sequences.next().await {
        let piece = piece?;
        tally.record(&piece);
        let choice = &mut choices[piece.index as usize];
        choice.delta.append(piece.delta);
        choice.prompt_logprobs = choice.prompt_logprobs.take().or(piece.prompt_logprobs);
    }
    Ok(dialect.whole(choices, tally.total()))
}

/// A stream under way.
struct Answer<D> {
    sequences: SelectAll<Sequence>,
    dialect: D,
    tally: Tally,
    options: Stream,
    _in_flight: InFlight,
}

impl<D: Dialect> Answer<D> {
    /// The next events; `None` when all choices ended.
    async fn next(&mut self) -> Option<Result<Vec<Bytes>, ApiError>> {
        let piece = match self.sequences.next().await? {
            Ok(piece) => piece,
            Err(error) => return Some(Err(error)),
        };
        self.tally.record(&piece);
        let usage = self.options.continuous_usage.then(|| self.tally.of_choice(piece.index));
        Some(Ok(self.dialect.events(piece, usage)))
    }

    /// What follows the last choice.
    fn closing(&self) -> VecDeque<Bytes> {
        let usage = self.options.include_usage.then(|| self.dialect.usage_event(self.tally.total()));
        usage.into_iter().chain([sse::DONE]).collect()
    }
}

fn streamed<D: Dialect>(answer: Answer<D>) -> Response {
    let frames = stream::unfold((Some(answer), VecDeque::new()), |(mut answer, mut ready)| async move {
        loop {
            if let Some(frame) = ready.pop_front() {
                return Some((Ok::<Bytes, Infallible>(frame), (answer, ready)));
            }
            let mut running = answer.take()?;
            match running.next().await {
                Some(Ok(events)) => {
                    ready.extend(events);
                    answer = Some(running);
                }
                Some(Err(error)) => ready.extend([sse::event(&error.body()), sse::DONE]),
                None => ready = running.closing(),
            }
        }
    });
    let headers = [(header::CONTENT_TYPE, sse::CONTENT_TYPE), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(frames)).into_response()
}
