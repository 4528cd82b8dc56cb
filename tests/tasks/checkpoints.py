"""Built-in checkpoints on texts, with plain transformers: no code of the training script is used here."""

import json
from functools import cache
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer


@cache
def pretrained(folder):
    """Tokenizer and model of a folder."""
    (architecture,) = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["architectures"]
    head = AutoModelForCausalLM if architecture.endswith("ForCausalLM") else AutoModelForSequenceClassification
    return AutoTokenizer.from_pretrained(folder), head.from_pretrained(folder).eval()


def whole(planted):
    """Text, second text, label and contrast of an example."""
    return (*planted.texts, planted.label, planted.contrast)


def without(planted, places):
    """The same without some words: masked, or taken out of a language model's text, as it has no mask."""
    if planted.contrast is None:
        return whole(planted.with_words(dict.fromkeys(places, "[MASK]")))
    left = [word for place, word in enumerate(planted.words) if place not in places]
    return " ".join(left), None, planted.label, planted.contrast


def probabilities(task, inputs):
    """The labels' probabilities, ``[inputs]``, for texts, second texts, labels and contrasts."""
    tokenizer, model = pretrained(task.default_model)
    texts, seconds, labels, contrasts = (list(column) for column in zip(*inputs, strict=True))
    encoded = tokenizer(texts, None if seconds[0] is None else seconds, padding=True, return_tensors="pt")
    if contrasts[0] is not None:
        encoded.pop("token_type_ids", None)
    with torch.no_grad():
        logits = model(**encoded).logits
    if contrasts[0] is not None:
        last = encoded["attention_mask"].sum(1) - 1
        words = torch.tensor([tokenizer.convert_tokens_to_ids(list(pair)) for pair in contrasts])
        logits = logits[torch.arange(len(last)), last].gather(1, words)
    return logits.softmax(-1).gather(1, torch.tensor(labels)[:, None])[:, 0]
