use std::path::Path;

use proptest::prelude::*;

use super::*;

const END_OF_TURN: u32 = 3;

fn tokenizer() -> Tokenizer {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny");
    Tokenizer::from_dir(dir).unwrap()
}

fn settings(stop: &[&str]) -> TextSettings {
    TextSettings {
        stop: stop.iter().map(|&it| it.to_owned()).collect(),
        skip_special_tokens: true,
        stop_tokens: Arc::new(HashSet::from([1, END_OF_TURN])),
        ..TextSettings::default()
    }
}

fn token(token: u32) -> EngineOutput {
    EngineOutput::Token(SampledToken { token, logprobs: None })
}

fn finished(reason: FinishReason, stop_token: Option<u32>) -> EngineOutput {
    EngineOutput::Finished(Finish { reason, stop_token, kv_transfer: None })
}

/// Every delta of an answer of `ids` that the engine ends with `reason`.
fn deltas(settings: TextSettings, ids: &[u32], reason: FinishReason) -> Vec<Delta> {
    let mut assembler = Assembler::new(tokenizer(), &[0], settings).unwrap();
    let mut events: Vec<EngineOutput> = ids.iter().map(|&id| token(id)).collect();
    events.push(finished(reason, None));
    events.into_iter().filter_map(|it| assembler.push(it).unwrap()).collect()
}

fn text(deltas: &[Delta]) -> String {
    deltas.iter().map(|it| it.text.as_str()).collect()
}

#[test]
fn the_stop_token_has_no_text_but_is_reported() {
    let mut ids = tokenizer().encode("Hello you", false).unwrap();
    ids.push(END_OF_TURN);
    let shown = TextSettings { skip_special_tokens: false, ..settings(&[]) };
    let deltas = deltas(shown, &ids, FinishReason::Stop);
    assert_eq!(text(&deltas), "Hello you");
    let reported: Vec<u32> = deltas.iter().flat_map(|it| &it.tokens).map(|it| it.token).collect();
    assert_eq!(reported, ids);
    let ending = deltas.last().unwrap().ending.clone().unwrap();
    assert_eq!(ending, Ending { reason: FinishReason::Stop, stop_reason: None, kv_transfer: None });
}

#[test]
fn a_stop_token_that_does_not_end_the_answer_is_text() {
    let shown = TextSettings { skip_special_tokens: false, ..settings(&[]) };
    let mut ids = vec![END_OF_TURN];
    ids.extend(tokenizer().encode("Hello", false).unwrap());
    assert_eq!(text(&deltas(shown, &ids, FinishReason::Length)), "<|im_end|>Hello");
}

#[test]
fn the_last_token_stays_when_asked_for() {
    let shown = TextSettings { skip_special_tokens: false, include_stop: true, ..settings(&[]) };
    assert_eq!(text(&deltas(shown, &[END_OF_TURN], FinishReason::Stop)), "<|im_end|>");
}

#[test]
fn a_stop_string_inside_a_token_ends_the_answer() {
    let ids = tokenizer().encode("Hello world, how are you?", false).unwrap();
    let deltas = deltas(settings(&["wor"]), &ids, FinishReason::Length);
    assert_eq!(text(&deltas), "Hello ");
    let ending = deltas.last().unwrap().ending.clone().unwrap();
    assert_eq!(ending.reason, FinishReason::Stop);
    assert_eq!(ending.stop_reason, Some(StopReason::Text("wor".to_owned())));
}

#[test]
fn nothing_follows_the_last_delta() {
    let mut assembler = Assembler::new(tokenizer(), &[0], settings(&[])).unwrap();
    assert!(assembler.push(finished(FinishReason::Abort, None)).unwrap().is_some());
    assert!(assembler.is_finished());
    assert_eq!(assembler.push(token(44)).unwrap(), None);
    assert_eq!(assembler.push(finished(FinishReason::Abort, None)).unwrap(), None);
}

#[test]
fn a_character_of_several_tokens_comes_whole() {
    let ids = tokenizer().encode("🦙", false).unwrap();
    assert!(ids.len() > 1, "the example must split");
    let deltas = deltas(settings(&[]), &ids, FinishReason::Length);
    assert_eq!(deltas[0].text, "🦙");
    assert_eq!(deltas[0].tokens.len(), ids.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The text of a token sequence is that of its stop filter over the whole decode, whatever the tokens.
    #[test]
    fn streaming_agrees_with_decoding_at_once(
        ids in prop::collection::vec(5u32..2048, 0..40),
        stop in "[a-e ]{1,3}",
    ) {
        let tokenizer = tokenizer();
        let whole = tokenizer.decode(&ids, true).unwrap();
        let expected = whole.find(stop.as_str()).map_or(whole.as_str(), |at| &whole[..at]);
        let streamed = deltas(settings(&[stop.as_str()]), &ids, FinishReason::Length);
        prop_assert_eq!(text(&streamed), expected);
        prop_assert!(streamed.iter().all(|it| !it.text.is_empty() || it.ending.is_some()));
    }
}
