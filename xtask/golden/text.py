"""Makes small tokenizers of the kinds in use and what Python's `tokenizers` answers with them.

Each folder in crates/tokenizer/tests/fixtures/tokenizers holds tokenizer.json, tokenizer_config.json and cases.json:
texts with their ids (with and without the tokenizer's own special tokens) and lists of ids with their text (special
tokens kept and skipped). The id lists include random ones, whose bytes are rarely a text.
"""

import json
import random
import shutil
from pathlib import Path

from tokenizers import (AddedToken, Regex, Tokenizer, __version__, decoders, models, normalizers, pre_tokenizers,
                        processors, trainers)

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "crates/tokenizer/tests/fixtures/tokenizers"
VOCAB = 600
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
         r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = [
    "", " ", "  ", "\n", " \n\n  x", "a", "Hello, world!", "The quick brown fox jumps over the lazy dog.",
    "naïve café, Grüße aus Köln", "東京は日本の首都です。", "🙂👍🏽👩‍👩‍👧‍👦🇩🇪", "mixed 日本 and 🙂 text", "e\u0301 combining \u00e9",
    "for i in range(10):\n\tprint(f\"{i:>3}\")  # 1234567.89\n", "it's they'll WE'VE I'm", "   three leading spaces",
    "trailing   ", "a\u00a0b\u2003c\u200bd", "<s>not special?</s>", "<|im_start|>user\nhi<|im_end|>", "\u0000\u0001\ufffd",
    "Привет, мир! مرحبا שלום สวัสดี", "x" * 200, "https://example.org/a?b=c&d=%20#e", "<think>deep</think> <tool_call>",
]


def words():
    """A training text that is the same everywhere: the project's own questions and answers."""
    rows = (ROOT / "assets/models/llmd-tiny/faq.jsonl").read_text(encoding="utf-8").splitlines()
    return rows[:300] + TEXTS


def trained(tokenizer, special, alphabet):
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=special, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(words(), trainer)
    return tokenizer


def byte_level(nfc, bos, special):
    """In the manner of Llama 3 (with a begin token) and Qwen (NFC, without)."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=bos is not None))
    if nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trained(tokenizer, [], sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in ("<think>", "</think>")])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


def byte_fallback():
    """In the manner of Llama 2: U+2581 for spaces, `<0xNN>` tokens for characters without one."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("\u2581+[^\u2581\n]*|\n+"), behavior="isolated")
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=special + ["<0x%02X>" % byte for byte in range(256)], show_progress=False)
    # ASCII alone, so that every other character is spelt in bytes
    tokenizer.train_from_iterator((text.encode("ascii", "ignore").decode() for text in words()), trainer)
    # as converted files are: the byte tokens are plain vocabulary and words are not split beforehand
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if token["content"] in special]
    data["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(data))
    bos = ("<s>", tokenizer.token_to_id("<s>"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[bos])
    return tokenizer


def metaspace():
    """In the manner of newer conversions: a Metaspace pre-tokenizer that marks the first word only."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace(replacement="\u2581", prepend_scheme="first", split=True)
    return trained(tokenizer, ["<unk>", "<s>", "</s>"], [])


def id_lists(tokenizer, rng):
    size = tokenizer.get_vocab_size()
    special = [i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    yield []
    yield [size + 5, 0, 100000]
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        yield ids[:40] + special[:1] + ids[:3]
    for length in (1, 2, 3, 8, 24, 48):
        yield [rng.randrange(size) for _ in range(length)]


def write(name, tokenizer, roles, extra):
    folder = OUT / name
    folder.mkdir(parents=True)
    # on one line: nobody reads it, and it is a third of the size
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(dict(roles, **extra), indent=2, ensure_ascii=False) + "\n")
    cases(folder / "cases.json", tokenizer)


def cases(path, tokenizer):
    encode = [dict(text=text, ids=tokenizer.encode(text, add_special_tokens=False).ids,
                   ids_with_special=tokenizer.encode(text).ids) for text in TEXTS]
    decode = [dict(ids=ids, text=tokenizer.decode(ids, skip_special_tokens=True),
                   text_with_special=tokenizer.decode(ids, skip_special_tokens=False))
              for ids in id_lists(tokenizer, random.Random(7))]
    rows = [f' "vocab_size": {tokenizer.get_vocab_size()},\n "tokenizers": "{__version__}"']
    for key, values in (("encode", encode), ("decode", decode)):
        lines = ",\n".join("  " + json.dumps(value, ensure_ascii=False) for value in values)
        rows.append(f' "{key}": [\n{lines}\n ]')
    path.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    headers = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"]
    write("byte-level-bos", byte_level(False, headers[0], headers),
          dict(bos_token=headers[0], eos_token=dict(content=headers[2], special=True)), {})
    # one token is declared by the configuration alone, as some checkpoints do it
    tags = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = byte_level(True, None, tags)
    late = AddedToken("<|late|>", special=True, normalized=False)
    declared = {str(i): dict(content=t.content, lstrip=t.lstrip, normalized=t.normalized, rstrip=t.rstrip,
                             single_word=t.single_word, special=t.special)
                for i, t in sorted(tokenizer.get_added_tokens_decoder().items())}
    declared[str(tokenizer.get_vocab_size())] = dict(
        content=late.content, lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
    write("byte-level-nfc", tokenizer, dict(bos_token=None, eos_token=tags[2], pad_token=tags[0]),
          dict(added_tokens_decoder=declared))
    tokenizer.add_special_tokens([late])
    cases(OUT / "byte-level-nfc/cases.json", tokenizer)
    roles = dict(bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    write("byte-fallback", byte_fallback(), roles, {})
    write("metaspace", metaspace(), roles, {})
    tiny = ROOT / "assets/models/llmd-tiny/tokenizer.json"
    (OUT / "llmd-tiny").mkdir()
    cases(OUT / "llmd-tiny/cases.json", Tokenizer.from_file(str(tiny)))
    print(", ".join(f"{f.parent.name}/{f.name} {f.stat().st_size // 1000} kB" for f in sorted(OUT.glob("*/*"))))


if __name__ == "__main__":
    main()
