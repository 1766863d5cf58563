"""Makes the tiny random models in crates/engine/tests/fixtures and what transformers answers for them.

Each folder is a Hugging Face checkpoint of about a hundred thousand parameters, together with reference.json: logits
and greedy continuations that transformers computes in float64 from the stored weights. README.md there describes the
format. Everything is drawn from seeds, so a second run writes the same bytes.

Every tensor is random, biases and norm weights too, and sized by its fan-in: dropping any one of them changes the
answer. The seed of a model is the first from which every greedy step has a clear winner (MARGIN), so that tests may
demand exact tokens of any arithmetic of reasonable precision.
"""

import contextlib
import hashlib
import json
import math
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

FIXTURES = Path(__file__).resolve().parents[2] / "crates/engine/tests/fixtures"
VOCAB, HIDDEN, CONTEXT = 512, 64, 256
PROMPT_LENGTHS = [1, 17, 80]
NEW_TOKENS, TOP, MARGIN, DISTINCT = 24, 16, 0.05, 8

COMMON = dict(
    vocab_size=VOCAB, hidden_size=HIDDEN, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, hidden_act="silu", max_position_embeddings=CONTEXT, rms_norm_eps=1e-6,
    initializer_range=0.02, use_cache=True, attention_dropout=0.0, bos_token_id=1, eos_token_id=2)

# name -> (config.json, type the weights are stored in, number of files)
MODELS = {
    # transformers 5 manner; biases on q, k and v; the head is the embedding
    "qwen2": (dict(COMMON, architectures=["Qwen2ForCausalLM"], model_type="qwen2", dtype="bfloat16",
                   rope_parameters=dict(rope_type="default", rope_theta=1000000.0), tie_word_embeddings=True,
                   use_sliding_window=False, sliding_window=None, max_window_layers=2,
                   layer_types=["full_attention"] * 2), torch.bfloat16, 1),
    # transformers 4 manner; norms on the heads of q and k; 4 heads of 32 are wider than the hidden 64
    "qwen3": (dict(COMMON, architectures=["Qwen3ForCausalLM"], model_type="qwen3", torch_dtype="bfloat16", head_dim=32,
                   attention_bias=False, rope_theta=1000000.0, rope_scaling=None, tie_word_embeddings=False,
                   use_sliding_window=False, sliding_window=None, max_window_layers=2), torch.bfloat16, 1),
    # transformers 4 manner; banded rope whose original context of 32 the longest prompt passes; three files
    "llama3-rope": (dict(COMMON, architectures=["LlamaForCausalLM"], model_type="llama", torch_dtype="float32",
                         intermediate_size=96, attention_bias=False, mlp_bias=False, rope_theta=10000.0,
                         rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                           original_max_position_embeddings=32),
                         tie_word_embeddings=True, eos_token_id=[2, 3]), torch.float32, 3),
    # transformers 5 manner; a head of its own; half precision
    "llama-untied-f16": (dict(COMMON, architectures=["LlamaForCausalLM"], model_type="llama", dtype="float16",
                              head_dim=16, attention_bias=False, mlp_bias=False, rms_norm_eps=1e-5,
                              rope_parameters=dict(rope_type="default", rope_theta=500000.0),
                              tie_word_embeddings=False), torch.float16, 1),
}


def generator(*name):
    """A random generator of its own for everything that has a name."""
    digest = hashlib.sha256(":".join(map(str, name)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def random_weights(config, seed, dtype):
    """Every parameter of the architecture, random, in the stored type. A tied head is left out, as checkpoints do."""
    tied = config.tie_word_embeddings
    with torch.device("meta"):
        shapes = {name: p.shape for name, p in AutoModelForCausalLM.from_config(config).named_parameters()}
    weights = {}
    for name, shape in shapes.items():
        rng = generator(seed, name)
        x = torch.randn(shape, generator=rng, dtype=torch.float64)
        if "norm" in name:
            x = 1 + 0.2 * x
            if tied and name == "model.norm.weight":
                # random signs, or every token would score its own row best and repeat itself
                x *= torch.where(torch.rand(shape, generator=rng) < 0.5, -1.0, 1.0)
        elif name.endswith("bias"):
            x *= 0.3
        elif "embed_tokens" in name or name.startswith("lm_head"):
            x *= 3.0 / math.sqrt(HIDDEN)
        else:
            x /= math.sqrt(shape[-1])
        weights[name] = x.to(dtype).contiguous()
    if tied:
        weights.pop("lm_head.weight", None)
    return weights


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_model(folder, config, seed, dtype, n_files):
    """A checkpoint folder: the configuration as given, the weights in one file or several with an index."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json",
               {key: config[key] for key in ("bos_token_id", "eos_token_id")})
    weights = random_weights(AutoConfig.from_pretrained(folder), seed, dtype)
    names = sorted(weights)
    if n_files == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for index in range(n_files):
        file = f"model-{index + 1:05d}-of-{n_files:05d}.safetensors"
        part = names[index * len(names) // n_files:(index + 1) * len(names) // n_files]
        save_file({name: weights[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    total = sum(w.numel() * w.element_size() for w in weights.values())
    write_json(folder / "model.safetensors.index.json",
               dict(metadata=dict(total_size=total), weight_map=dict(sorted(weight_map.items()))))


@contextlib.contextmanager
def all_in_float64():
    """transformers computes norms, rotary angles and softmax in float32 whatever the model's type. Within this
    context its `torch.float32`, `torch.float` and `.float()` mean float64."""
    saved = torch.float32, torch.float, torch.Tensor.float
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = saved


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    # from_pretrained has to run in plain types, so the rotary frequencies are made again
    with all_in_float64():
        model.model.rotary_emb = type(model.model.rotary_emb)(config=model.config)
    assert model.model.rotary_emb.inv_freq.dtype == torch.float64
    return model


def prompts():
    return [torch.randint(0, VOCAB, (n,), generator=generator("prompt", n)).tolist() for n in PROMPT_LENGTHS]


def number(x):
    return round(float(x), 6)


@torch.inference_mode()
def answer(model, ids):
    """The reference of one prompt."""
    with all_in_float64():
        logits = model(torch.tensor([ids])).logits[0]
        assert logits.dtype == torch.float64
        best = torch.topk(logits, TOP)
        tokens, margins = list(ids), []
        for _ in range(NEW_TOKENS):  # without a cache: every step is computed from scratch
            two = torch.topk(model(torch.tensor([tokens]), use_cache=False).logits[0, -1], 2)
            tokens.append(int(two.indices[0]))
            margins.append(number(two.values[0] - two.values[1]))
    return dict(
        prompt_token_ids=ids,
        last_logits=[number(x) for x in logits[-1]],
        top_logits=[[[int(i), number(v)] for v, i in zip(*row)] for row in zip(best.values, best.indices)],
        logsumexp=[number(x) for x in torch.logsumexp(logits, -1)],
        greedy_token_ids=tokens[len(ids):],
        greedy_margins=margins,
        std=number(logits.std()))


def write_reference(folder, seed, config, cases):
    """One line a field, and one a position in `top_logits`, so that the file stays small and differences readable."""
    head = dict(transformers=transformers.__version__, computed_in="float64", seed=seed,
                weights=config.get("dtype") or config["torch_dtype"])
    lines = ["{"] + [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
    lines.append(' "cases": [')
    for case in cases:
        fields = []
        for key, value in case.items():
            text = json.dumps(value, separators=(",", ":"))
            if key == "top_logits":
                rows = (json.dumps(row, separators=(",", ":")) for row in value)
                text = "[\n   " + ",\n   ".join(rows) + "\n  ]"
            fields.append(f"  {json.dumps(key)}: {text}")
        lines.append(" {\n" + ",\n".join(fields) + "\n }" + ("," if case is not cases[-1] else ""))
    (folder / "reference.json").write_text("\n".join(lines + [" ]", "}"]) + "\n")


def make(name):
    config, dtype, n_files = MODELS[name]
    folder = FIXTURES / name
    for seed in range(10_000):
        write_model(folder, config, seed, dtype, n_files)
        model, cases = load(folder), []
        for ids in prompts():
            cases.append(answer(model, ids))
            clear = min(cases[-1]["greedy_margins"]) >= MARGIN
            if not clear or len(set(cases[-1]["greedy_token_ids"])) < DISTINCT:
                break
        else:
            write_reference(folder, seed, config, cases)
            size = sum(f.stat().st_size for f in folder.iterdir())
            least = min(min(case["greedy_margins"]) for case in cases)
            print(f"{name}: seed {seed}, {size / 1000:.0f} kB, least margin {least:.3f}, "
                  f"std {[case['std'] for case in cases]}")
            return
    raise SystemExit(f"{name}: no seed has clear margins")


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in sys.argv[1:] or MODELS:
        make(name)


if __name__ == "__main__":
    main()
