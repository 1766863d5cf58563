use std::path::Path;
use std::sync::LazyLock;

use llmd_api::openai::request::parse;
use proptest::prelude::*;

use super::sampling::MAX_BAD_WORDS;
use super::*;

const ASKED: Asked = Asked {
    max_tokens: None,
    max_tokens_param: "max_tokens",
    logprobs: None,
    logprobs_param: "logprobs",
    prompt_logprobs: None,
};

static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(tokenizer);

fn tokenizer() -> Tokenizer {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny");
    Tokenizer::from_dir(dir).unwrap()
}

fn rules() -> Rules {
    Rules {
        max_model_len: 100,
        vocab_size: 2048,
        max_logprobs: Some(20),
        max_stop_strings: 4,
        max_n: 8,
        max_sequences: 16,
        max_prompts: 4,
        eos_token_ids: vec![3],
        defaults: GenerationConfig::default(),
    }
}

fn generation(body: &str, asked: Asked, rules: &Rules) -> Result<Generation, ApiError> {
    let fields: SamplingFields = parse(body.as_bytes()).unwrap();
    Generation::check(&fields, asked, rules, &TOKENIZER)
}

#[track_caller]
fn check_error(body: &str, param: &str) {
    match generation(body, ASKED, &rules()).unwrap_err() {
        ApiError::Param { param: named, message } => {
            assert_eq!(named, param, "{body}");
            assert!(message.starts_with(param), "{message}");
        }
        other => panic!("{body}: {other:?}"),
    }
}

fn sampling(body: &str) -> SamplingParams {
    generation(body, ASKED, &rules()).unwrap().sampling(10, 0).unwrap()
}

#[test]
fn every_range_is_checked() {
    for (body, param) in [
        (r#"{"temperature":2.1}"#, "temperature"),
        (r#"{"temperature":-0.1}"#, "temperature"),
        (r#"{"top_p":0}"#, "top_p"),
        (r#"{"top_p":1e-60}"#, "top_p"),
        (r#"{"top_p":1.1}"#, "top_p"),
        (r#"{"top_k":-2}"#, "top_k"),
        (r#"{"min_p":1.1}"#, "min_p"),
        (r#"{"presence_penalty":2.5}"#, "presence_penalty"),
        (r#"{"frequency_penalty":-2.5}"#, "frequency_penalty"),
        (r#"{"repetition_penalty":0}"#, "repetition_penalty"),
        (r#"{"repetition_penalty":1e300}"#, "repetition_penalty"),
        (r#"{"n":0}"#, "n"),
        (r#"{"n":9}"#, "n"),
        (r#"{"n":2,"temperature":0}"#, "n"),
        (r#"{"stop":["a","b","c","d","e"]}"#, "stop"),
        (r#"{"stop":""}"#, "stop"),
        (r#"{"stop_token_ids":[2048]}"#, "stop_token_ids"),
        (r#"{"min_tokens":-1}"#, "min_tokens"),
        (r#"{"logit_bias":{"x":1}}"#, "logit_bias"),
        (r#"{"logit_bias":{"5000":1}}"#, "logit_bias"),
        (r#"{"allowed_token_ids":[]}"#, "allowed_token_ids"),
        (r#"{"allowed_token_ids":[-1]}"#, "allowed_token_ids"),
        (r#"{"bad_words":[" "]}"#, "bad_words"),
        (r#"{"allowed_token_ids":[3,9],"stop_token_ids":[9],"min_tokens":1}"#, "min_tokens"),
        (r#"{"truncate_prompt_tokens":-2}"#, "truncate_prompt_tokens"),
        (r#"{"truncate_prompt_tokens":101}"#, "truncate_prompt_tokens"),
        (r#"{"truncation_side":"up"}"#, "truncation_side"),
        (r#"{"priority":5000000000}"#, "priority"),
        (r#"{"cache_salt":""}"#, "cache_salt"),
        (r#"{"cache_salt":"a/b"}"#, "cache_salt"),
        (r#"{"stream_options":{}}"#, "stream_options"),
    ] {
        check_error(body, param);
    }
}

#[test]
fn limits_of_the_endpoint_are_checked_under_their_own_names() {
    let asked = Asked { max_tokens: Some(0), max_tokens_param: "max_completion_tokens", ..ASKED };
    let error = generation("{}", asked, &rules()).unwrap_err();
    assert_eq!(error.to_string(), "max_completion_tokens must be at least 1, got 0");
    let asked = Asked { logprobs: Some(21), logprobs_param: "top_logprobs", ..ASKED };
    let error = generation("{}", asked, &rules()).unwrap_err();
    assert!(error.to_string().starts_with("top_logprobs must be at most 20"), "{error}");
    let asked = Asked { prompt_logprobs: Some(1), ..ASKED };
    let error = generation(r#"{"stream":true}"#, asked, &rules());
    assert!(error.is_ok(), "what an echo needs may be streamed");
    let error = generation(r#"{"stream":true,"prompt_logprobs":1}"#, asked, &rules()).unwrap_err();
    assert!(error.to_string().starts_with("prompt_logprobs cannot be streamed"), "{error}");
}

#[test]
fn nearly_zero_temperature_is_greedy_and_turns_filters_off() {
    let greedy = sampling(r#"{"temperature":1e-6,"top_p":0.5,"top_k":5,"min_p":0.1}"#);
    assert!(greedy.is_greedy());
    assert_eq!((greedy.top_p, greedy.top_k, greedy.min_p), (1.0, None, 0.0));
    assert_eq!(sampling(r#"{"temperature":0.001}"#).temperature, 0.01);
}

#[test]
fn the_models_defaults_stand_between_request_and_openai() {
    let defaults =
        GenerationConfig { temperature: Some(0.0), max_new_tokens: Some(7), ..GenerationConfig::default() };
    let rules = Rules { defaults, ..rules() };
    let from_model = generation("{}", ASKED, &rules).unwrap().sampling(10, 0).unwrap();
    assert!(from_model.is_greedy());
    assert_eq!(from_model.max_tokens, 7);
    let from_request = generation(r#"{"temperature":1}"#, ASKED, &rules).unwrap().sampling(10, 0).unwrap();
    assert_eq!(from_request.temperature, 1.0);
}

#[test]
fn an_answer_fills_the_context_at_most() {
    assert_eq!(sampling("{}").max_tokens, 90);
    let asked = Asked { max_tokens: Some(500), ..ASKED };
    let generation_of = |body| generation(body, asked, &rules()).unwrap();
    assert_eq!(generation_of("{}").sampling(99, 0).unwrap().max_tokens, 1);
    let error = generation_of("{}").sampling(100, 0).unwrap_err();
    assert!(matches!(error, ApiError::PromptTooLong { limit: 100, .. }), "{error:?}");
    let error = generation_of(r#"{"min_tokens":60}"#).sampling(50, 0).unwrap_err();
    assert!(error.to_string().starts_with("min_tokens"), "{error}");
}

#[test]
fn seeds_differ_between_choices_and_minus_one_is_none() {
    let seeded = generation(r#"{"seed":5,"n":2}"#, ASKED, &rules()).unwrap();
    let seed = |choice| seeded.sampling(1, choice).unwrap().seed;
    assert_eq!((seed(0), seed(1)), (Some(5), Some(6)));
    assert_eq!(sampling(r#"{"seed":-1}"#).seed, None);
}

#[test]
fn choices_share_long_lists_and_repetitions_count_once() {
    let body = r#"{"n":2,"temperature":1,"logit_bias":{"5":1,"05":2},"allowed_token_ids":[7,5,7],
        "stop_token_ids":[9,8,9],"bad_words":["cache"]}"#;
    let generation = generation(body, ASKED, &rules()).unwrap();
    let (first, second) = (generation.sampling(10, 0).unwrap(), generation.sampling(10, 1).unwrap());
    assert_eq!(first.logit_bias.len(), 1);
    assert_eq!(first.allowed_token_ids.as_deref(), Some([5, 7].as_slice()));
    assert_eq!(*first.stop_token_ids, [8, 9]);
    assert!(Arc::ptr_eq(&first.logit_bias, &second.logit_bias));
    assert!(Arc::ptr_eq(&first.stop_token_ids, &second.stop_token_ids));
    assert!(Arc::ptr_eq(&first.bad_words, &second.bad_words));
    assert!(Arc::ptr_eq(&first.allowed_token_ids.unwrap(), &second.allowed_token_ids.unwrap()));
}

#[test]
fn the_number_of_bad_words_is_limited() {
    let words = |n: usize| format!(r#"{{"bad_words":[{}]}}"#, vec![r#""cache""#; n].join(","));
    assert_eq!(sampling(&words(MAX_BAD_WORDS)).bad_words.len(), 2, "repetitions count once");
    check_error(&words(MAX_BAD_WORDS + 1), "bad_words");
}

#[test]
fn bad_words_are_banned_with_and_without_a_space() {
    let banned = sampling(r#"{"bad_words":["cache"]}"#).bad_words;
    for text in ["cache", " cache"] {
        assert!(banned.contains(&TOKENIZER.encode(text, false).unwrap()), "{text:?} in {banned:?}");
    }
}

#[test]
fn stop_tokens_are_hidden_unless_the_end_is_ignored() {
    let hidden = |body: &str| {
        let stop_tokens = generation(body, ASKED, &rules()).unwrap().text.stop_tokens;
        let mut ids: Vec<u32> = stop_tokens.iter().copied().collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(hidden(r#"{"stop_token_ids":[9]}"#), [3, 9]);
    assert_eq!(hidden(r#"{"ignore_eos":true}"#), Vec::<u32>::new());
}

proptest! {
    /// Whatever the numbers, the result is a legal set of parameters or an error that names a field.
    #[test]
    fn accepted_values_are_in_range(
        temperature in any::<f64>(), top_p in any::<f64>(), top_k in any::<i64>(), n in any::<i64>(),
        min_tokens in any::<i64>(), max_tokens in any::<i64>(), seed in any::<i64>(),
    ) {
        let fields = SamplingFields {
            temperature: Some(temperature), top_p: Some(top_p), top_k: Some(top_k), n: Some(n),
            min_tokens: Some(min_tokens), seed: Some(seed), ..SamplingFields::default()
        };
        let asked = Asked { max_tokens: Some(max_tokens), ..ASKED };
        let Ok(generation) = Generation::check(&fields, asked, &rules(), &TOKENIZER) else { return Ok(()) };
        let Ok(sampling) = generation.sampling(10, 0) else { return Ok(()) };
        prop_assert!(sampling.temperature == 0.0 || (0.01..=2.0).contains(&sampling.temperature));
        prop_assert!(sampling.top_p > 0.0 && sampling.top_p <= 1.0);
        prop_assert!((1..=90).contains(&sampling.max_tokens));
        prop_assert!(sampling.min_tokens <= sampling.max_tokens);
    }
}
