"""Tiny random classifiers of nine architectures, made in memory: no checkpoint, no network, the same on every run.

What is asked of every method is asked on these; a method that is right on them is right on large ones of the same kind.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from whybench.bench.classifier import Classifier
from whybench.bench.next_token import NextTokenModel

ENCODERS = ("bert", "roberta", "distilbert", "electra", "albert", "modernbert")
DECODERS = ("gpt2", "llama", "qwen3")
FAMILIES = ENCODERS + DECODERS
UNSUPPORTED = "deberta-v2"

READOUT = {family: "last" if family in DECODERS else "first" for family in FAMILIES} | {"modernbert": "mean"}
LAYERS = 3
HEADS = 4
MAX_LENGTH = 48

# Of several lengths; the longest have more tokens than a head has value dimensions, so that efficient attention is not
# the model's own. "unbelievably" and the like are several tokens of every tokenizer here.
TEXTS = (
    "an unbelievably slow film with a wonderful cast, and yet the ending was reworked into a great joke",
    "bad",
    "the cast was great but the film was unwatchable.",
    "Never was a slow joke so wonderful",
)
PAIRS = (
    ("the cast was great", "a wonderful film was rewatched"),
    ("bad joke", "an unbelievably slow ending, and a bad one"),
)

_CORPUS = " ".join((*TEXTS, "the film was great and the cast was slow but the joke was a bad one. " * 4)).lower()
_WORDS = ("the", "film", "was", "great", "a", "and", "cast", "slow", "but", "joke", "bad", "wonderful", ",", ".")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def tiny_classifier(family: str) -> Classifier:
    """A classifier of three labels with random weights; its attention and its output are far from uniform.

    It is the same object on every call: a test that changes it takes `fresh_classifier`.
    """
    return _cached(family)


@functools.cache
def _cached(family: str) -> Classifier:
    return fresh_classifier(family)


def fresh_classifier(
    family: str, *, seed: int = 0, tokenizer: PreTrainedTokenizerFast | None = None, **config: Any
) -> Classifier:
    """A classifier of its own, with other weights for another seed, and settings of its configuration."""
    if tokenizer is None:
        tokenizer = build_tokenizer(family)
    return Classifier(build_model(family, tokenizer, seed=seed, **config), tokenizer, name=f"tiny-{family}")


def build_model(family: str, tokenizer: PreTrainedTokenizerFast, *, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """The model alone; every weight is drawn, biases, norms and the padding's embedding included."""
    config = build_config(family, tokenizer, **changes)
    with torch.random.fork_rng(devices=[]):
        model: PreTrainedModel = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    return _drawn(model, seed)


def tiny_language_model(family: str) -> NextTokenModel:
    """A language model of its own, of one of the `DECODERS`, with random weights; its next token hangs on the text."""
    tokenizer = build_tokenizer(family)
    with torch.random.fork_rng(devices=[]):
        model = AutoModelForCausalLM.from_config(build_config(family, tokenizer))  # type: ignore[no-untyped-call]
    return NextTokenModel(_drawn(model, 0), tokenizer, name=f"tiny-{family}")


def _drawn(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_(0.2 * noise + ("norm" in name.lower() or ".ln_" in name) * ("bias" not in name))
            elif "embed" in name or ".wte" in name or ".wpe" in name:
                parameter.copy_(noise)
            else:
                # queries and keys far from 0, so that attention stays peaked in the upper layers
                sharp = any(part in name for part in ("query", "key", "q_lin", "k_lin", "q_proj", "k_proj"))
                parameter.copy_((3.0 if sharp else 1.5) * noise / 32**0.5)
    return model.eval()  # type: ignore[no-any-return, no-untyped-call]


def build_config(family: str, tokenizer: PreTrainedTokenizerFast, **changes: Any) -> PretrainedConfig:
    """A configuration of 32 hidden dimensions, 4 heads and 3 layers."""
    settings: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": 48,
    }
    settings |= {"vocab_size": len(tokenizer), "num_labels": 3, "max_position_embeddings": MAX_LENGTH}
    settings |= {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    own: dict[str, Any] = {
        # two positions are never used: they are counted from the padding's id
        "roberta": {"max_position_embeddings": MAX_LENGTH + 2, "type_vocab_size": 1},
        "distilbert": {"dim": 32, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 48},
        "electra": {"embedding_size": 16},
        "albert": {"embedding_size": 16},
        "modernbert": {
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "local_attention": 12,
            "classifier_pooling": "mean",
            "cls_token_id": tokenizer.cls_token_id,
            "sep_token_id": tokenizer.sep_token_id,
        },
        "gpt2": {"n_embd": 32, "n_layer": LAYERS, "n_head": HEADS, "n_inner": 48, "n_positions": MAX_LENGTH},
        "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
        "bart": {
            "d_model": 32,
            "encoder_layers": LAYERS,
            "decoder_layers": LAYERS,
            "encoder_attention_heads": HEADS,
            "decoder_attention_heads": HEADS,
            "encoder_ffn_dim": 48,
            "decoder_ffn_dim": 48,
            "decoder_start_token_id": tokenizer.eos_token_id,
        },
        "llama": {"num_key_value_heads": 2},
        "qwen3": {"num_key_value_heads": 2, "head_dim": 12},
        UNSUPPORTED: {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]},
    }
    if family == "bloom":
        settings |= {"n_layer": LAYERS, "n_head": HEADS}
    if family in ("distilbert", "gpt2"):
        settings = {k: v for k, v in settings.items() if k.endswith("_id") or k in ("vocab_size", "num_labels")}
        settings |= {} if family == "gpt2" else {"max_position_embeddings": MAX_LENGTH}
    return CONFIG_MAPPING[family](**settings | own.get(family, {}) | changes)


def build_tokenizer(family: str) -> PreTrainedTokenizerFast:
    """The kind of tokenizer that the family has: its special tokens, its sub-words, its way with spaces."""
    if family in ("bert", "distilbert", "electra"):
        return _wordpiece(segments=family != "distilbert")
    if family in ("albert", UNSUPPORTED):
        return _unigram()
    if family in ("roberta", "bart"):
        around = {"single": "<s> $A </s>", "pair": "<s> $A </s> </s> $B </s>"}
        names = {
            "bos": "<s>",
            "pad": "<pad>",
            "eos": "</s>",
            "unk": "<unk>",
            "mask": "<mask>",
            "cls": "<s>",
            "sep": "</s>",
        }
        return byte_level(names, around)
    if family == "modernbert":
        around = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B [SEP]"}
        return byte_level({"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}, around)
    if family == "gpt2":
        return byte_level({"bos": "<|endoftext|>", "eos": "<|endoftext|>"})
    if family == "llama":
        around = {"single": "<s> $A", "pair": "<s> $A <s> $B"}
        return byte_level({"bos": "<s>", "eos": "</s>"}, around)
    # Qwen; OPT and BLOOM have padding, too
    return byte_level({"pad": "<|endoftext|>", "eos": "<|im_end|>"})


def byte_level(names: dict[str, str], around: dict[str, str] | None = None) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer, GPT-2's way.

    Args:
        names: The special tokens, in the order of their ids.
        around: Templates ``single`` and ``pair``; None adds no special tokens.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = list(dict.fromkeys(names.values()))
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + 256 + 60,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_CORPUS], trainer)
    if around is not None:
        ids = [(token, special.index(token)) for token in special]
        tokenizer.post_processor = processors.TemplateProcessing(**around, special_tokens=ids)
    return wrap(tokenizer, names)


def _wordpiece(*, segments: bool) -> PreTrainedTokenizerFast:
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    pieces = [*names.values(), *_WORDS, "un", "##believ", "##ably", *(f"##{c}" for c in _LETTERS), *_LETTERS[1:]]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", pieces.index("[CLS]")), ("[SEP]", pieces.index("[SEP]"))],
    )
    return wrap(tokenizer, names, segments=segments)


def _unigram() -> PreTrainedTokenizerFast:
    names = {"pad": "<pad>", "unk": "<unk>", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    scored = [(name, 0.0) for name in names.values()]
    scored += [(f"▁{word}", -2.0) for word in _WORDS if word.isalpha()]
    scored += [(piece, -3.0) for piece in ("▁un", "believ", "ably", "▁re", "watch")]
    scored += [(letter, -6.0) for letter in ("▁", ",", ".", *_LETTERS)]
    tokenizer = Tokenizer(models.Unigram(scored, unk_id=1))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # ▁a is a word of its own: the first piece would otherwise be ▁
    return wrap(tokenizer, names, segments=True)


def wrap(tokenizer: Tokenizer, names: dict[str, str], *, segments: bool = False) -> PreTrainedTokenizerFast:
    """A transformers tokenizer with these special tokens."""
    inputs = ["input_ids", "token_type_ids", "attention_mask"] if segments else ["input_ids", "attention_mask"]
    special = {f"{name}_token": token for name, token in names.items()}
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, model_input_names=inputs, **special
    )
