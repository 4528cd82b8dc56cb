"""Built-in checkpoints on texts, with plain transformers: no code of the training script is used here."""

from functools import cache

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


@cache
def pretrained(folder):
    """Tokenizer and model of a folder."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    return AutoTokenizer.from_pretrained(folder), model


def whole(planted):
    """Text, second text and label of an example."""
    return (*planted.texts, planted.label)


def masked(planted, places):
    """The same with some words masked."""
    return whole(planted.with_words(dict.fromkeys(places, "[MASK]")))


def probabilities(task, inputs):
    """The labels' probabilities, ``[inputs]``, for texts, second texts and labels."""
    tokenizer, model = pretrained(task.default_model)
    texts, seconds, labels = (list(column) for column in zip(*inputs, strict=True))
    encoded = tokenizer(texts, None if seconds[0] is None else seconds, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits
    return logits.softmax(-1).gather(1, torch.tensor(labels)[:, None])[:, 0]
