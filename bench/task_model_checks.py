"""What a task promises together with its model: names that meet, units to remove, predictions that mean something.

The docstring of a check is what the report says of it.
"""

from __future__ import annotations

import re

import numpy as np

from whybench.bench.conformance import Check, Found
from whybench.bench.task_subject import Subject, check_cover, promised

_BARE = re.compile(r"(label_?)?\d+", re.IGNORECASE)
# of texts that the model's limit cuts
MANY_TRUNCATED = 0.2


@promised("model")
def model(subject: Subject, found: Found) -> None:
    """The model is loaded, and is one of the task's kind."""
    classifier = subject.classifier
    found.facts |= {"name": classifier.name, "labels": ", ".join(classifier.labels), "limit": classifier.max_length}


@promised("model", "operator")
def operator(subject: Subject, found: Found) -> None:
    """The primary removal operator can be used with the model."""
    found.facts["operator"] = subject.operator


@promised("data", "model", "examples", "aligned")
def model_labels(subject: Subject, found: Found) -> None:
    """Every label that occurs is one of the model's, by its name."""
    names = subject.classifier.labels
    if all(map(_BARE.fullmatch, names)):
        found.warn(f"The model's are bare numbers ({', '.join(names)}), taken as the task's indices: see agreement.")
    pairs = zip(subject.examples, subject.aligned, strict=True)
    met = {(one.label, other.label) for one, other in pairs if one.label is not None and other.label is not None}
    found.facts["met"] = [f"{subject.task.labels[one]} → {names[other]}" for one, other in sorted(met)]


@promised("data", "model", "examples", "batch")
def units(subject: Subject, found: Found) -> None:
    """The model's tokenizer finds units to remove in every text, and some that are evidence where there is any."""
    from whybench.bench.recovery import evidence_units

    batch, declared = subject.batch, subject.task.evidence
    if unusable := subject.classifier.unusable(subject.data.examples):
        found.facts["cannot be asked about"] = len(unusable)
    counts = batch.unit_counts().tolist()
    found.facts["in a text"] = {"least": min(counts), "median": float(np.median(counts)), "most": max(counts)}
    marked = {
        i: evidence_units(batch.unit_spans[i], example.evidence)
        for i, example in enumerate(subject.examples)
        if example.evidence
    }
    lost = [i for i, which in marked.items() if not which.any()]
    # human evidence may stand where a long text was cut
    cut = [i for i in lost if declared == "human" and batch.truncated[i]]
    found.fail_each("No unit is evidence in", [batch.ids[i] for i in lost if i not in cut])
    if cut:
        found.warn(f"The evidence of {len(cut)} examples is behind the model's limit.")
    if left := {batch.ids[i]: float(which.mean()) for i, which in marked.items() if which.any()}:
        check_cover(declared, left, "units", found)


@promised("data", "model", "examples", "batch")
def lengths(subject: Subject, found: Found) -> None:
    """Most texts are within the model's limit."""
    tokens = np.array(subject.batch.lengths().tolist())
    share = float(np.mean(subject.batch.truncated))
    if share > MANY_TRUNCATED:
        found.warn(f"{share:.0%} of the texts are longer than the model's {subject.classifier.max_length} tokens.")
    found.facts["tokens"] = {"median": float(np.median(tokens)), "most": int(tokens.max())}
    found.facts["truncated"] = share


@promised("data", "model", "examples", "aligned", "batch")
def agreement(subject: Subject, found: Found) -> None:
    """The model's predictions are the labels more often than always naming the most common one would be.

    Of a next-token task: the model prefers the continuations to their foils more often than a coin would.
    """
    from whybench.bench.cell import buckets

    batch, classifier = subject.batch, subject.classifier
    predicted = np.zeros(len(batch), dtype=int)
    for chunk in buckets(batch, 16):
        predicted[chunk] = classifier.probabilities(batch.select(chunk)).argmax(-1).cpu().numpy()
    labelled = [i for i, example in enumerate(subject.aligned) if example.label is not None]
    gold = np.array([subject.aligned[i].label for i in labelled], dtype=int)
    next_token = subject.task.kind == "next_token"
    if len(set(gold.tolist())) < 2 and not next_token:
        found.skip(f"{len(set(gold.tolist()))} of the labels occur in these examples; two are needed to tell.")
        return
    right = predicted[labelled] == gold
    common = np.full(len(gold), 0.5) if next_token else (gold == np.bincount(gold).argmax()).astype(float)
    above = right - common
    accuracy, majority = float(right.mean()), float(common.mean())
    named = "by chance" if next_token else "most common label"
    found.facts |= {"accuracy": accuracy, named: majority, "above it": accuracy - majority}
    found.facts["examples"] = len(labelled)
    if accuracy <= majority:
        swapped = (
            " Are the labels in another order?" if len(subject.task.labels) == 2 and 1 - accuracy > majority else ""
        )
        found.fail(f"The model does not do this task: its predictions explain something else.{swapped}")
    elif above.mean() < 2 * above.std() / len(above) ** 0.5:
        found.warn("So few examples do not show that it is better (within two standard errors).")


CHECKS: tuple[Check[Subject], ...] = (model, operator, model_labels, units, lengths, agreement)
