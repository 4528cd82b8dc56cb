"""Gold labels in the order of the model that is explained: by their names where the model gives names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from whybench.bench.errors import LabelError, ModelError
from whybench.bench.task import Example


def labels_of(config: Any, model: str) -> tuple[str, ...]:
    """The labels' names that a classifier's configuration gives, in the order of the label indices.

    Raises:
        ModelError: It has fewer than two, or is not one of which just one label holds.
    """
    count, problem = int(config.num_labels or 0), config.problem_type
    names: dict[Any, Any] = config.id2label or {}
    if problem not in (None, "single_label_classification"):
        raise ModelError(f"{model} is trained for {problem}; whybench explains single-label classifiers.")
    if count < 2:
        raise ModelError(f"{model} has {count} label(s); a softmax probability means something from two labels on.")
    return tuple(str(names.get(i, i)) for i in range(count))


def in_model_order(
    examples: Sequence[Example], labels: Sequence[str], model_labels: Sequence[str], *, task: str, model: str
) -> list[Example]:
    """The examples with their labels as indices of the model's labels.

    Models count the same classes in different orders, and some know fewer classes than the data. Where the task and
    the model share a name (whatever its case, spaces and ``_ - . /``; a name may be the beginning of one other, as in
    ``neg``), every label is looked up by its name. Where the model's labels are bare numbers (``LABEL_0``), indices are
    taken as they are, if there are as many labels on either side: that each means the same cannot be seen then.

    Args:
        examples: With labels as indices of the task's labels. One without a label stays as it is.
        labels: The task's labels.
        model_labels: The model's labels.
        task: The task's name, for messages.
        model: The model's name, for messages.

    Raises:
        LabelError: A label that the task or the model does not have, or as many labels as the task's are not there.
    """
    places = _places(labels, model_labels)
    aligned = []
    for example in examples:
        if example.label is None:
            aligned.append(example)
            continue
        inside = 0 <= example.label < len(labels)
        place = places[example.label] if inside else None
        if place is None:
            name = f" ({labels[example.label]})" if inside else ""
            raise LabelError(
                f"example {example.id!r} of {task} has the label {example.label}{name}, which is none of the model's. "
                f"{task} has {len(labels)} labels ({', '.join(labels)}), {model} has {len(model_labels)} "
                f"({', '.join(model_labels)}). Give a model of this task with --model; if it is one, the names in its "
                "config.json (id2label) must be the task's."
            )
        aligned.append(replace(example, label=place))
    return aligned


def _places(labels: Sequence[str], model_labels: Sequence[str]) -> list[int | None]:
    """Per label of the task its index among the model's; None where the model has no such label."""
    plain = len(set(map(_plain, labels))) == len(labels) and len(set(map(_plain, model_labels))) == len(model_labels)
    own, others = ([_plain(name) if plain else name for name in names] for names in (labels, model_labels))
    if all(re.fullmatch(r"(label)?\d+", name) for name in others):
        return list(range(len(labels))) if len(labels) == len(model_labels) else [None] * len(labels)
    return [others.index(name) if name in others else _begun(name, own, others) for name in own]


def _begun(name: str, own: Sequence[str], others: Sequence[str]) -> int | None:
    """Index of the one other name that begins this one or that it begins, if that is the only such pair of either."""

    def alike(one: str, other: str) -> bool:
        return bool(one and other) and (one.startswith(other) or other.startswith(one))

    found = [place for place, other in enumerate(others) if alike(name, other)]
    if len(found) == 1 and sum(alike(one, others[found[0]]) for one in own) == 1:
        return found[0]
    return None


def _plain(name: str) -> str:
    """A name without what people write differently."""
    return re.sub(r"[\s_./-]+", "", name.casefold())
