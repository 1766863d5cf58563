//! Every kind of tokenizer in `fixtures/tokenizers` gives the ids and texts that Python's `tokenizers` gives, and its
//! texts stream: pieces joined are the whole.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use llmd_tokenizer::{StreamDecoder, Tokenizer};
use proptest::prelude::*;
use serde::Deserialize;

const NAMES: [&str; 5] = ["byte-level-bos", "byte-level-nfc", "byte-fallback", "metaspace", "llmd-tiny"];

/// Kinds whose decoder maps every token to bytes on its own, so that any ids stream exactly.
const BYTE_LEVEL: [&str; 3] = ["byte-level-bos", "byte-level-nfc", "llmd-tiny"];

#[derive(Deserialize)]
struct Cases {
    vocab_size: usize,
    encode: Vec<Encode>,
    decode: Vec<Decode>,
}

#[derive(Deserialize)]
struct Encode {
    text: String,
    ids: Vec<u32>,
    ids_with_special: Vec<u32>,
}

#[derive(Deserialize)]
struct Decode {
    ids: Vec<u32>,
    text: String,
    text_with_special: String,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tokenizers").join(name)
}

/// The tokenizer of that name; each is loaded once.
fn load(name: &str) -> Tokenizer {
    static ALL: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/models/llmd-tiny");
        let folder = |name| if name == "llmd-tiny" { tiny.clone() } else { fixture(name) };
        NAMES.iter().map(|name| Tokenizer::from_dir(folder(name)).expect("the fixture loads")).collect()
    });
    ALL[NAMES.iter().position(|known| *known == name).expect("a known name")].clone()
}

fn cases(name: &str) -> Cases {
    let text =
        std::fs::read_to_string(fixture(name).join("cases.json")).expect("the fixture is in the repository");
    serde_json::from_str(&text).expect("the fixture has the shape of `Cases`")
}

fn stream(mut decoder: StreamDecoder, ids: &[u32]) -> String {
    let mut text: String = ids.iter().map(|&id| decoder.push(id).expect("ids decode")).collect();
    text += &decoder.finish().expect("ids decode");
    text
}

/// The text of the ids up to the last whole character.
fn complete_text(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let texts = (0..4.min(ids.len() + 1))
        .map(|cut| tokenizer.decode(&ids[..ids.len() - cut], true).expect("ids decode"));
    texts.into_iter().find(|text| !text.ends_with(char::REPLACEMENT_CHARACTER)).unwrap_or_default()
}

#[test]
fn ids_and_texts_are_those_of_python() {
    for name in NAMES {
        let (tokenizer, cases) = (load(name), cases(name));
        assert_eq!(tokenizer.vocab_size(), cases.vocab_size, "{name}");
        for case in &cases.encode {
            assert_eq!(tokenizer.encode(&case.text, false).unwrap(), case.ids, "{name} {:?}", case.text);
            assert_eq!(
                tokenizer.encode(&case.text, true).unwrap(),
                case.ids_with_special,
                "{name} {:?}",
                case.text
            );
        }
        for case in &cases.decode {
            assert_eq!(tokenizer.decode(&case.ids, true).unwrap(), case.text, "{name} {:?}", case.ids);
            assert_eq!(
                tokenizer.decode(&case.ids, false).unwrap(),
                case.text_with_special,
                "{name} {:?}",
                case.ids
            );
        }
    }
}

/// The bytes of each token, joined.
fn joined_bytes(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|&id| tokenizer.token_bytes(id)).collect()
}

#[test]
fn the_bytes_of_the_tokens_are_those_of_the_text() {
    for name in NAMES {
        let tokenizer = load(name);
        for case in cases(name).encode {
            let joined = String::from_utf8(joined_bytes(&tokenizer, &case.ids_with_special)).unwrap();
            // A decoder may drop the space that such a vocabulary puts in front of a text.
            let joined = if BYTE_LEVEL.contains(&name) { &joined } else { joined.trim_start() };
            let text = tokenizer.decode(&case.ids_with_special, false).unwrap();
            let text = if BYTE_LEVEL.contains(&name) { &text } else { text.trim_start() };
            assert_eq!(joined, text, "{name} {:?}", case.text);
        }
        assert!(tokenizer.token_bytes(u32::MAX).is_empty(), "{name}");
    }
}

#[test]
fn a_token_inside_a_character_has_its_own_bytes() {
    let tokenizer = load("llmd-tiny");
    let ids = tokenizer.encode("🦙", false).unwrap();
    assert_eq!(tokenizer.token_bytes(ids[0]), "🦙".as_bytes()[..tokenizer.token_bytes(ids[0]).len()]);
    assert!(ids.len() > 1, "the example must split");
    assert_eq!(joined_bytes(&tokenizer, &ids), "🦙".as_bytes());
    assert_eq!(
        load("byte-fallback").token_bytes(load("byte-fallback").token_to_id("<0xF0>").unwrap()),
        [0xf0]
    );
}

#[test]
fn texts_stream_in_every_kind() {
    for name in NAMES {
        let tokenizer = load(name);
        for case in cases(name).encode {
            for ids in [&case.ids, &case.ids_with_special] {
                for skip in [true, false] {
                    let whole = tokenizer.decode(ids, skip).unwrap();
                    let streamed = stream(StreamDecoder::new(tokenizer.clone(), skip), ids);
                    assert_eq!(streamed, whole, "{name} {:?}", case.text);
                }
            }
        }
    }
}

#[test]
fn a_stream_after_any_part_of_the_prompt_continues_its_text() {
    for name in NAMES {
        let tokenizer = load(name);
        for case in &cases(name).encode {
            let whole = tokenizer.decode(&case.ids, true).unwrap();
            for split in 0..=case.ids.len() {
                let (prompt, rest) = case.ids.split_at(split);
                let decoder = StreamDecoder::after_prompt(tokenizer.clone(), prompt, true).unwrap();
                let streamed = stream(decoder, rest);
                let before = complete_text(&tokenizer, prompt);
                assert_eq!(format!("{before}{streamed}"), whole.clone(), "{name} {:?} at {split}", case.text);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_streams(text in any::<String>(), emoji in "[a-z 🙂👍🏽東京é\n]{0,24}", skip in any::<bool>()) {
        for name in NAMES {
            let tokenizer = load(name);
            let ids = tokenizer.encode(&(text.clone() + &emoji), true).unwrap();
            let whole = tokenizer.decode(&ids, skip).unwrap();
            prop_assert_eq!(stream(StreamDecoder::new(tokenizer, skip), &ids), whole, "{}", name);
        }
    }

    #[test]
    fn any_ids_stream_where_tokens_are_bytes(ids in prop::collection::vec(0_u32..700, 0..80), skip in any::<bool>()) {
        for name in BYTE_LEVEL {
            let tokenizer = load(name);
            let whole = tokenizer.decode(&ids, skip).unwrap();
            prop_assert_eq!(stream(StreamDecoder::new(tokenizer, skip), &ids), whole, "{}", name);
        }
    }

    #[test]
    fn the_bytes_of_any_ids_are_those_of_their_text(ids in prop::collection::vec(0_u32..700, 0..80)) {
        for name in BYTE_LEVEL {
            let tokenizer = load(name);
            let joined = joined_bytes(&tokenizer, &ids);
            prop_assert_eq!(String::from_utf8_lossy(&joined), tokenizer.decode(&ids, false).unwrap(), "{}", name);
        }
    }

    #[test]
    fn any_ids_stream_without_a_panic(ids in prop::collection::vec(0_u32..700, 0..400)) {
        stream(StreamDecoder::new(load("byte-fallback"), true), &ids);
    }
}
