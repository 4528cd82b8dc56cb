"""Does a checkpoint use its task's evidence? The figures of ``card.json``, and what each must reach."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from whybench.bench.choices import Role
from whybench.tasks.builtin.base import BuiltinTask, Planted

OPERATORS = ("mask", "delete", "pad")

LIMITS: Mapping[str, tuple[float, float]] = {
    "accuracy": (0.99, 1.0),
    "flip_followed": (0.98, 1.0),
    "resample_kept": (0.98, 1.0),
    "evidence_removed_from_chance": (0.0, 0.05),
    "random_removed_kept": (0.98, 1.0),
    "evidence_alone_probability": (0.95, 1.0),
    "thinned_accuracy": (0.98, 1.0),
    "thinned_kept": (0.98, 1.0),
    "thinned_from_chance": (0.0, 0.05),
}
"""Least and most of each figure, for the task's primary operator; :func:`measure` says what they mean."""

ROLE_LIMITS: Mapping[Role, Mapping[str, tuple[float, float]]] = {
    "necessary": {"necessary_removed_from_chance": (0.0, 0.1)},
    "sufficient": {"sufficient_alone_kept": (0.98, 1.0)},
    "distractor": {"distractors_removed_kept": (0.98, 1.0)},
}
"""The same for the roles that a task has. One necessary word of four that the model does not need makes .12."""

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shares of the words that are removed at random: what the metrics remove is to be no news to the model."""


class Inputs(NamedTuple):
    """Encoded examples; every tensor is ``[examples, tokens]`` but ``labels`` and ``contrast``.

    Attributes:
        ids: Token ids.
        segments: Token type ids.
        attention: 1 on real tokens, 0 on padding.
        units: True on the tokens of words.
        evidence: True on the tokens of evidence words.
        labels: Label indices, ``[examples]``.
        contrast: Token ids of the words of the two labels, ``[examples, 2]``; -1 where labels are classes.
    """

    ids: Tensor
    segments: Tensor
    attention: Tensor
    units: Tensor
    evidence: Tensor
    labels: Tensor
    contrast: Tensor

    def rows(self, index: Tensor) -> Inputs:
        """The examples of these indices (or of this boolean mask)."""
        return Inputs(*(column[index] for column in self))

    @property
    def arguments(self) -> dict[str, Tensor]:
        """What the model is called with: all but the columns that are padding everywhere."""
        width = int(self.attention.any(0).nonzero().max()) + 1
        columns = {"input_ids": self.ids, "token_type_ids": self.segments, "attention_mask": self.attention}
        if self.next_token:
            del columns["token_type_ids"]
        return {name: column[:, :width] for name, column in columns.items()}

    @property
    def next_token(self) -> bool:
        """Whether the labels are words that may come next."""
        return bool((self.contrast >= 0).all())

    def at_end(self, outputs: Tensor) -> Tensor:
        """Of ``[examples, tokens, ...]`` what stands at every example's last real token."""
        last = (torch.arange(self.attention.shape[1]) * self.attention).argmax(1)
        return outputs[torch.arange(len(last)), last]


def encode(tokenizer: PreTrainedTokenizerFast, examples: Sequence[Planted]) -> Inputs:
    """Encode examples, padded to the longest.

    Raises:
        ValueError: A word is not exactly one token, or an example is longer than the tokenizer's limit.
    """
    texts, seconds = zip(*(example.texts for example in examples), strict=True)
    pairs = None if seconds[0] is None else list(seconds)
    encoding = tokenizer(list(texts), pairs, padding=True, return_token_type_ids=True, return_tensors="pt")
    ids = encoding["input_ids"]
    if ids.shape[1] > tokenizer.model_max_length:
        raise ValueError(f"an example has {ids.shape[1]} tokens, more than the limit of {tokenizer.model_max_length}")
    units = torch.tensor([[word is not None for word in encoding.word_ids(row)] for row in range(len(examples))])
    evidence = torch.zeros_like(units)
    for row, example in enumerate(examples):
        places = units[row].nonzero()[:, 0]
        if len(places) != len(example.words) or (ids[row] == tokenizer.unk_token_id).any():
            raise ValueError(f"every word must be one token of the vocabulary, got {' '.join(example.words)!r}")
        evidence[row, places[list(example.evidence)]] = True
    labels = torch.tensor([example.label for example in examples])
    contrasts: list[list[Any]] = [
        [tokenizer.convert_tokens_to_ids(word) for word in example.contrast] if example.contrast else [-1, -1]
        for example in examples
    ]
    if any(tokenizer.unk_token_id in contrast for contrast in contrasts):
        raise ValueError("every word that may come next must be one token of the vocabulary")
    segments, attention = encoding["token_type_ids"], encoding["attention_mask"]
    return Inputs(ids, segments, attention, units, evidence, labels, torch.tensor(contrasts))


def operators_of(tokenizer: PreTrainedTokenizerFast) -> tuple[str, ...]:
    """The removal operators that a tokenizer can serve."""
    return tuple(name for name in OPERATORS if name != "mask" or tokenizer.mask_token_id is not None)


def remove(tokenizer: PreTrainedTokenizerFast, inputs: Inputs, which: Tensor, operator: str) -> Inputs:
    """Remove tokens.

    Args:
        tokenizer: Names the mask and the padding token.
        inputs: The examples.
        which: True on the tokens that go, ``[examples, tokens]``.
        operator: ``"mask"``, ``"delete"`` or ``"pad"``.
    """
    if operator == "mask":
        return inputs._replace(ids=inputs.ids.masked_fill(which, tokenizer.mask_token_id))
    padded = inputs._replace(
        ids=inputs.ids.masked_fill(which, tokenizer.pad_token_id), attention=inputs.attention.masked_fill(which, 0)
    )
    if operator == "pad":
        return padded
    # What stays moves to the front in its old order; the removed tokens become padding behind it.
    order = torch.sort(padded.attention, dim=1, descending=True, stable=True).indices
    rows = ("labels", "contrast")
    moved = {name: column.gather(1, order) for name, column in padded._asdict().items() if name not in rows}
    return padded._replace(**moved)


def probabilities(model: Any, inputs: Inputs) -> Tensor:
    """Probabilities of the labels, ``[examples, labels]``."""
    with torch.inference_mode():
        parts = [inputs.rows(index) for index in torch.arange(len(inputs.labels)).chunk(4)]
        logits = [model(**part.arguments).logits for part in parts]
        if inputs.next_token:
            ends = zip(parts, logits, strict=True)
            logits = [part.at_end(outputs).gather(1, part.contrast) for part, outputs in ends]
    return torch.cat(logits).softmax(-1)


def measure(task: BuiltinTask, model: Any, tokenizer: PreTrainedTokenizerFast) -> dict[str, float]:
    """Measure on the test split how a checkpoint treats the evidence.

    Returns:
        For the untouched texts: ``accuracy``, and ``probability`` (mean, of the right label). For changed texts:
        ``flip_followed`` (share right before, and right after one piece of evidence changed the label) and
        ``resample_kept`` (share that keeps its prediction when all else is drawn anew). For the task's primary
        operator: ``evidence_removed_from_chance`` (mean distance of the right label's probability from chance, so
        that errors to both sides do not cancel), ``random_removed_kept`` (share that keeps its prediction without as
        many other words as there are evidence words), ``random_removed_change`` (mean change of the right label's
        probability), ``half_removed_accuracy`` (half of the other words gone), ``evidence_alone_probability``
        (mean, of the right label); and those of :func:`by_role` and :func:`thinned`. The other operators' figures have
        the operator's name appended.
    """
    random, examples = Random(f"{task.name}/checks"), task.generate("test")
    inputs = encode(tokenizer, examples)
    flipped = encode(tokenizer, [task.flip(example, random) for example in examples])
    resampled = encode(tokenizer, [task.resample(example, random) for example in examples])

    def right(predicted: Tensor) -> Tensor:
        return predicted.gather(1, inputs.labels[:, None])[:, 0]

    def share(holds: Tensor) -> Tensor:
        return holds.double().mean()

    whole = probabilities(model, inputs)
    before, probability = whole.argmax(-1), right(whole)
    correct = before == inputs.labels
    figures = {
        "accuracy": share(correct),
        "probability": probability.mean(),
        "flip_followed": share(correct & (probabilities(model, flipped).argmax(-1) == flipped.labels)),
        "resample_kept": share(probabilities(model, resampled).argmax(-1) == before),
    }
    others = inputs.units & ~inputs.evidence
    draws = torch.rand(others.shape, generator=torch.Generator().manual_seed(0)).masked_fill(~others, 2.0)
    ranks = draws.argsort(dim=1).argsort(dim=1)
    few = others & (ranks < inputs.evidence.sum(1, keepdim=True))
    half = others & (ranks < others.sum(1, keepdim=True) // 2)
    primary = task.operator or "mask"
    for operator in operators_of(tokenizer):
        suffix = "" if operator == primary else f"_{operator}"
        without = {
            name: probabilities(model, remove(tokenizer, inputs, which, operator))
            for name, which in {"evidence": inputs.evidence, "few": few, "half": half, "others": others}.items()
        }
        from_chance = (right(without["evidence"]) - 1 / len(task.labels)).abs()
        figures |= {
            f"evidence_removed_from_chance{suffix}": from_chance.mean(),
            f"random_removed_kept{suffix}": share(without["few"].argmax(-1) == before),
            f"random_removed_change{suffix}": (right(without["few"]) - probability).abs().mean(),
            f"half_removed_accuracy{suffix}": share(without["half"].argmax(-1) == inputs.labels),
            f"evidence_alone_probability{suffix}": right(without["others"]).mean(),
        }
    subject = Subject(task, model, tokenizer, examples, inputs)
    for operator in operators_of(tokenizer):
        suffix = "" if operator == primary else f"_{operator}"
        found = by_role(subject, before, operator) | thinned(subject, operator)
        figures |= {f"{name}{suffix}": value for name, value in found.items()}
    return {name: round(float(value), 4) for name, value in figures.items()}


class Subject(NamedTuple):
    """What is measured: a model of a task, on encoded examples."""

    task: BuiltinTask
    model: Any
    tokenizer: PreTrainedTokenizerFast
    examples: Sequence[Planted]
    inputs: Inputs

    def without(self, gone: Sequence[tuple[int, Collection[int]]], operator: str) -> tuple[Tensor, Tensor]:
        """Predictions, and probabilities of the right label, without some words.

        Args:
            gone: Per input the index of an example, and those of the words that it loses.
            operator: The removal operator.

        Returns:
            Two tensors ``[inputs]``.
        """
        inputs = self.inputs.rows(torch.tensor([i for i, _ in gone]))
        which = torch.zeros_like(inputs.units)
        for row, (_, places) in enumerate(gone):
            which[row, inputs.units[row].nonzero()[:, 0][list(places)]] = True
        predicted = probabilities(self.model, remove(self.tokenizer, inputs, which, operator))
        return predicted.argmax(-1), predicted.gather(1, inputs.labels[:, None])[:, 0]


def by_role(subject: Subject, before: Tensor, operator: str) -> dict[str, Tensor]:
    """What a checkpoint does with the words of each role that the task has.

    Args:
        subject: The model and the examples.
        before: Its predictions on the untouched texts, ``[examples]``.
        operator: The removal operator.

    Returns:
        ``necessary_removed_from_chance`` (each necessary word removed alone: mean distance of the right label's
        probability from chance), ``sufficient_alone_kept`` and ``sufficient_alone_probability`` (all but one smallest
        sufficient set removed: share that keeps its prediction, and mean probability of the right label),
        ``distractors_removed_kept`` and ``distractors_removed_change`` (all distractors removed: the share, and the
        mean change of that probability).
    """
    task, examples = subject.task, subject.examples
    roles = [task.roles_of(example) for example in examples]
    figures: dict[str, Tensor] = {}
    gone: list[tuple[int, Collection[int]]]
    if "necessary" in task.roles:
        gone = [(i, {place}) for i, one in enumerate(roles) for place in one.necessary]
        _, right = subject.without(gone, operator)
        figures["necessary_removed_from_chance"] = (right - 1 / len(task.labels)).abs().mean()
    if "sufficient" in task.roles:
        gone = [
            (i, {*range(len(examples[i].words))} - {*places})
            for i, one in enumerate(roles)
            for places in one.sufficient
        ]
        predicted, right = subject.without(gone, operator)
        figures["sufficient_alone_kept"] = (predicted == before[[i for i, _ in gone]]).double().mean()
        figures["sufficient_alone_probability"] = right.mean()
    if "distractor" in task.roles:
        predicted, right = subject.without([(i, one.distractor) for i, one in enumerate(roles)], operator)
        _, whole = subject.without([(i, ()) for i in range(len(examples))], operator)
        figures["distractors_removed_kept"] = (predicted == before).double().mean()
        figures["distractors_removed_change"] = (right - whole).abs().mean()
    return figures


def thinned(subject: Subject, operator: str) -> dict[str, Tensor]:
    """Are texts with words removed at random, as many as a metric may remove, still texts that the model knows?

    After Madsen et al. 2024, arXiv:2310.07819: a model that was trained with random removal, and so knows such texts,
    does with what is left what can be done with it. Here the rule says what that is.

    Returns:
        ``thinned_accuracy`` (the least over `SHARES` of the other words, the evidence spared). Then, over the same
        shares of all words: ``thinned_kept`` (where what is left still has the label, by the rule, the share that is
        right) and ``thinned_from_chance`` (where the rule cannot tell, the mean distance of the right label's
        probability from chance).
    """
    task, examples, labels = subject.task, subject.examples, subject.inputs.labels
    random = Random(f"{task.name}/thinned")
    accuracies, kept, undecided = [], [], []
    for share in SHARES:
        places = [[place for place in range(len(one.words)) if place not in one.evidence] for one in examples]
        predicted, _ = subject.without(_drawn(random, places, share), operator)
        accuracies.append((predicted == labels).double().mean())

        places = [list(range(len(one.words))) for one in examples]
        gone = _drawn(random, places, share)
        predicted, right = subject.without(gone, operator)
        answers = [task.answer(examples[i], {*places[i]} - {*lost}) for i, lost in gone]
        # the rule may also give another label: without a negation it does, though a mask still shows one
        decided = [answer == one.label for answer, one in zip(answers, examples, strict=True)]
        kept.append((predicted == labels)[torch.tensor(decided)])
        undecided.append(right[torch.tensor([answer is None for answer in answers])])
    return {
        "thinned_accuracy": torch.stack(accuracies).min(),
        "thinned_kept": torch.cat(kept).double().mean(),
        "thinned_from_chance": (torch.cat(undecided) - 1 / len(task.labels)).abs().mean(),
    }


def _drawn(random: Random, places: Sequence[list[int]], share: float) -> list[tuple[int, list[int]]]:
    """Per example its index and a random share of the places."""
    return [(i, random.sample(ones, round(share * len(ones)))) for i, ones in enumerate(places)]


def limits(task: BuiltinTask) -> dict[str, tuple[float, float]]:
    """Least and most of each figure of a task."""
    return {**LIMITS, **{name: ends for role in task.roles for name, ends in ROLE_LIMITS[role].items()}}


def failures(task: BuiltinTask, figures: Mapping[str, float]) -> list[str]:
    """The figures that miss their limits, each as a line for a message; a missing or NaN figure misses too."""
    return [
        f"{name} = {figures.get(name)} is outside [{least}, {most}]"
        for name, (least, most) in limits(task).items()
        if not least <= figures.get(name, float("nan")) <= most
    ]
