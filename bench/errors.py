"""Every error that whybench raises on purpose.

::

    WhybenchError
    ├── UnknownNameError          no method, task, metric or operator of that name
    ├── ParameterError            a parameter or an option with a value that is not allowed
    ├── NotRecordedError          a probability that a metric needs and that was not recorded
    ├── InputError                a text or an example that cannot be explained
    │   ├── EmptyTextError
    │   └── LabelError            a label outside the model's
    ├── DataError                 a dataset that cannot be read
    │   └── MissingColumnError
    ├── TaskError                 a task that cannot be loaded
    ├── ModelError                a checkpoint that cannot be loaded or used
    │   └── UnsupportedArchitectureError
    ├── OperatorError             a removal operator that the tokenizer or the model cannot serve
    ├── ScoresError               token scores that cannot be ranked
    │   ├── ScoreShapeError
    │   └── NonFiniteScoresError
    ├── MethodError               a method that cannot be loaded, or that failed
    │   └── CertificateError      an answer that misses its own tolerance
    ├── ComparisonError           figures that cannot be compared
    ├── AttributionsError         scores made elsewhere that cannot be read, or are of other words
    ├── SubmissionError           a submission that is not complete, not allowed or not what it says
    ├── StoreError                results that cannot be read or written
    │   └── CorruptResultError
    └── SiteError                 a site that cannot be built from what is installed, or with what memory there is

What is no error, but costs something that can be helped, is a warning::

    WhybenchWarning
    └── OutOfMemoryWarning        less memory than a forward pass was to take; it goes on in smaller ones

A message names the thing, the value got, what is allowed and what to do. On the command line every error is exit code
2.
"""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Iterable
from pathlib import Path


class WhybenchError(Exception):
    """Base of every error that whybench raises on purpose."""


class WhybenchWarning(UserWarning):
    """Base of every warning that whybench gives."""


class OutOfMemoryWarning(WhybenchWarning):
    """Less memory than a forward pass was to take; the engine goes on in smaller ones."""


class UnknownNameError(WhybenchError):
    """No method, task, metric or operator of that name; the message proposes the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        super().__init__(f"there is no {kind} named {name!r}.{hint} Known: {', '.join(known) or 'none'}.")
        self.kind, self.name, self.near = kind, name, near
        self._known = known

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str, str, list[str]]]:
        """By what it was made of: an exception is unpickled with its message alone, of which this cannot be made."""
        return type(self), (self.kind, self.name, self._known)


class ParameterError(WhybenchError):
    """A parameter or an option with a value that is not allowed."""


class NotRecordedError(WhybenchError):
    """A probability that a metric needs and that was not recorded."""


class InputError(WhybenchError):
    """A text or an example that cannot be explained."""


class EmptyTextError(InputError):
    """A text without a single unit that could be removed."""


class LabelError(InputError):
    """A label outside the model's labels."""


class DataError(WhybenchError):
    """A dataset that cannot be read."""


class MissingColumnError(DataError):
    """A dataset without a column that the task needs."""


class TaskError(WhybenchError):
    """A task that cannot be loaded."""


class ModelError(WhybenchError):
    """A checkpoint that cannot be loaded or used."""


class UnsupportedArchitectureError(ModelError):
    """An architecture whose attention or gradients cannot be had: no AttentionInterface, or an encoder-decoder."""


class OperatorError(WhybenchError):
    """A removal operator that the tokenizer or the model cannot serve; nothing is put in its place."""


class ScoresError(WhybenchError):
    """Token scores that cannot be ranked."""


class ScoreShapeError(ScoresError):
    """Token scores of a shape other than ``[batch, tokens]``."""


class NonFiniteScoresError(ScoresError):
    """Token scores with a NaN or an infinity."""


class MethodError(WhybenchError):
    """A method that cannot be loaded, or that failed on its input."""


class CertificateError(MethodError):
    """An answer that misses the tolerance of its own certificate."""


class ComparisonError(WhybenchError):
    """Figures that cannot be compared: they share no example, or there are none."""


class AttributionsError(WhybenchError):
    """Scores made elsewhere that cannot be read, or that are not of an example's words or tokens."""


class SubmissionError(WhybenchError):
    """A submission that is not complete, holds what none may hold, or is not what it says."""


class StoreError(WhybenchError):
    """Results that cannot be read or written."""


class CorruptResultError(StoreError):
    """A result folder whose files are missing, changed or not valid.

    Attributes:
        reason: What is wrong, without the folder's place and advice for its owner.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason or message


class SiteError(WhybenchError):
    """A site that cannot be built: a package that it takes a script from is not installed as it should be, or a process
    that worked on it ended.
    """


def reason_of(error: BaseException) -> str:
    """What to record of an error: our own say what to do; of others where they were raised, by file name only."""
    if isinstance(error, WhybenchError):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    # a result is published: folders of this machine, which can hold the user's name, are cut down to the last part
    said = re.sub(r"(?<![\w.:/])(?:[A-Za-z]:)?[/\\](?:[^\s'\"/\\]+[/\\])+", "…/", str(error))
    return f"{type(error).__name__}: {said} ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
