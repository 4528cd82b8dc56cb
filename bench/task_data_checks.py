"""What a task promises before any model is asked: what its file states, what its data holds, the same every time.

The docstring of a check is what the report says of it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from whybench.bench.choices import OPERATORS
from whybench.bench.conformance import Check, Found
from whybench.bench.errors import DataError
from whybench.bench.fewer_rows import fewer_rows
from whybench.bench.sample import sample
from whybench.bench.task import Example, Span
from whybench.bench.task_digest import SEED, differences, digests
from whybench.bench.task_subject import Subject, check_cover, promised

_COMMIT = re.compile(r"[0-9a-f]{40}")


# ---- what the file says ----


@promised()
def file(subject: Subject, found: Found) -> None:
    """The file is imported, and defines a task of its own name."""
    found.facts["kind"] = subject.task.kind


@promised()
def declarations(subject: Subject, found: Found) -> None:
    """Summary, suite, licence, citation, evidence and operator are stated, and nothing is still to do."""
    task = subject.task
    for name in ("summary", "suite", "licence", "citation"):
        value = getattr(task, name, "")
        # generated data has no source but its own file
        if not value and not (name == "citation" and task.dataset is None):
            found.fail(f"{name} is empty.")
        elif not isinstance(value, str) or "\n" in value:
            found.fail(f"{name} is {value!r}; it must be text on one line.")
    todo = [name for name in dir(task) if not name.startswith("_") and "TODO" in str(getattr(task, name, ""))]
    found.fail_each("Still to do", todo)
    if task.evidence not in ("planted", "human", None):
        found.fail(f"evidence is {task.evidence!r}; it must be 'planted', 'human' or None.")
    if task.operator not in (*OPERATORS, None):
        found.fail(f"operator is {task.operator!r}; it must be one of {', '.join(OPERATORS)}, or None.")
    if not type(task).__doc__:
        found.fail("The class has no docstring.")
    found.facts["suite"] = task.suite


@promised()
def pinned(subject: Subject, found: Found) -> None:
    """Dataset and model are pinned to a commit; a dataset may say `dataset_revision = None`, and its docstring why."""
    task = subject.task
    commit = getattr(task, "dataset_revision", "")
    if task.dataset is not None and commit is None and "commit" in (type(task).__doc__ or ""):
        found.warn("dataset_revision is None: the data is what the Hub has on the day.")
    elif task.dataset is not None:
        _check_commit("dataset_revision", commit, found)
    source = Path(task.default_model).expanduser() if task.default_model else None
    if source is not None and source.is_absolute():
        found.facts["model"] = "a folder"
        if not source.is_dir():
            found.fail(f"default_model is the folder {source.name!r}, which is not there.")
    elif source is not None:
        _check_commit("default_model_revision", task.default_model_revision, found)


def _check_commit(name: str, value: Any, found: Found) -> None:
    if not isinstance(value, str) or not _COMMIT.fullmatch(value):
        found.fail(f"{name} is {value!r}; it must be a commit of 40 hexadecimal digits.")


@promised()
def label_names(subject: Subject, found: Found) -> None:
    """There are at least two labels, each with a name of its own."""
    labels = subject.task.labels
    if len(labels) < 2 or len(set(labels)) < len(labels) or not all(isinstance(n, str) and n.strip() for n in labels):
        found.fail(f"labels are {labels!r}; they must be at least two different names.")
    found.facts["labels"] = len(labels)


# ---- what the data holds ----


@promised("data")
def data(subject: Subject, found: Found) -> None:
    """The examples are read, and their source is named by split and revision."""
    data = subject.data
    for name, value in (("split", data.split), ("revision", data.revision)):
        if not isinstance(value, str) or not value.strip():
            found.fail(f"{name} is {value!r}; it must be a text.")
    found.facts |= {"examples": len(data.examples), "left_out": data.left_out, "revision": str(data.revision)[:19]}


@promised("data")
def ids(subject: Subject, found: Found) -> None:
    """Every example has a name of its own, on one line and without tabs."""
    names = [example.id for example in subject.data.examples]
    strange = [repr(name) for name in names if not isinstance(name, str) or not name or re.search(r"[\t\r\n]", name)]
    found.fail_each("Ids that are no names", strange)
    found.fail_each("Ids that occur again", [repr(name) for name, count in Counter(names).items() if count > 1])
    found.facts["first"] = names[0]


@promised("data")
def texts(subject: Subject, found: Found) -> None:
    """No text is empty, and all examples are pairs, or none is."""
    examples = subject.data.examples
    found.fail_each("No text, or an empty one, in", [e.id for e in examples if not all(map(_is_text, _texts(e)))])
    pairs = sum(example.text_pair is not None for example in examples)
    if 0 < pairs < len(examples):
        found.fail(f"{pairs} of {len(examples)} examples are pairs; a task has only pairs, or none.")
    again = sum(count - 1 for count in Counter((e.text, e.text_pair) for e in examples).values())
    found.facts |= {"pairs": pairs, "repeated": again}


@promised("data")
def labels(subject: Subject, found: Found) -> None:
    """Every label is an index into `labels`, or None where there is none; every class occurs.

    Of a next-token task: every example has a continuation and another foil, and the label 0.
    """
    names, examples = subject.task.labels, subject.data.examples
    if subject.task.kind == "next_token":
        found.fail_each("No continuation, or no other foil, in", [e.id for e in examples if not _contrasts(e)])
        found.fail_each("Labels other than 0, the continuation's, in", [e.id for e in examples if e.label != 0])
        found.facts["continuations"] = len({example.continuation for example in examples})
        return
    given = [example for example in examples if example.label is not None]
    wrong = [f"{e.id} has {e.label!r}" for e in given if type(e.label) is not int or not 0 <= e.label < len(names)]
    found.fail_each(f"Labels that are no index from 0 to {len(names) - 1}", wrong)
    counts = Counter(example.label for example in given)
    never = [name for index, name in enumerate(names) if not counts[index]]
    if not given:
        found.warn("No example has a label, so that nobody can tell how good a model is.")
    elif never:
        found.warn(f"Labels that never occur: {', '.join(never)}.")
    found.facts |= {name: counts[index] for index, name in enumerate(names) if counts[index]}
    if len(given) < len(examples):
        found.facts["without a label"] = len(examples) - len(given)


@promised("data")
def evidence(subject: Subject, found: Found) -> None:
    """Evidence is there as declared: spans within their text, not blank, not all of it."""
    declared, examples = subject.task.evidence, subject.data.examples
    known = [example for example in examples if example.evidence is not None]
    some = [example for example in known if example.evidence]
    if declared is None and known:
        found.fail(f"evidence is None, but {len(known)} examples have some; it must be 'planted' or 'human'.")
    if declared == "planted":
        found.fail_each("Planted evidence is missing in", [e.id for e in examples if not e.evidence])
    if declared == "human" and not some:
        found.warn("Evidence is 'human', but no example of this data has any: it gives no figures of plausibility.")
    outside = [f"{e.id} has {tuple(span)}" for e in some for span in e.evidence or () if not _inside(span, e)]
    found.fail_each("Spans that are blank or outside of their text", outside)
    if some and not outside:
        check_cover(declared, {example.id: _cover(example) for example in some}, "characters", found)
    found.facts |= {
        "declared": declared or "none",
        "with evidence": len(some),
        "with none found": len(known) - len(some),
    }


def _texts(example: Example) -> tuple[str, ...]:
    return (example.text,) if example.text_pair is None else (example.text, example.text_pair)


def _contrasts(example: Example) -> bool:
    return bool(example.continuation and example.foil and example.continuation != example.foil)


def _is_text(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _inside(span: Span, example: Example) -> bool:
    """Whether a span holds something, in a text that there is."""
    if span.segment not in range(len(_texts(example))):
        return False
    text = _texts(example)[span.segment]
    return 0 <= span.start < span.end <= len(text) and bool(text[span.start : span.end].strip())


def _cover(example: Example) -> float:
    """Share of the characters, white space aside, that are evidence."""
    places = {(i, k) for i, text in enumerate(_texts(example)) for k, one in enumerate(text) if not one.isspace()}
    marked = {(span.segment, k) for span in example.evidence or () for k in range(span.start, span.end)}
    return len(places & marked) / len(places)


# ---- the same every time ----


@promised("data")
def repeatable(subject: Subject, found: Found) -> None:
    """Read twice, the examples, their order and the revision are the same."""
    again = subject.task.load(subject.path, subject.split_wanted)
    first, second = digests(subject.data, subject.limit), digests(again, subject.limit)
    found.fail_each("Not the same the second time", differences(first, second))


@promised("data")
def other_process(subject: Subject, found: Found) -> None:
    """Another process, which hashes differently, reads the same examples and draws the same sample of them."""
    here = os.environ.get("PYTHONHASHSEED")
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "2" if here == "1" else "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    arguments = [subject.name, str(subject.path or "-"), subject.split_wanted or "-", str(subject.limit)]
    command = [sys.executable, "-P", "-m", "whybench.bench.task_digest", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        found.fail(f"It could not read them: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
        return
    there = json.loads(done.stdout.splitlines()[-1])
    found.fail_each("Not the same there", differences(digests(subject.data, subject.limit), there))


@promised("data")
def sampled(subject: Subject, found: Found) -> None:
    """A seeded sample of the examples is the same twice, and in the data's order."""
    size = max(1, min(subject.limit, len(subject.data.examples) - 1))
    place = {example.id: i for i, example in enumerate(subject.data.examples)}
    first, second = (sample(subject.data, size, SEED) for _ in range(2))
    order = [place[example.id] for example in first]
    if first != second or order != sorted(order):
        found.fail(f"Two samples of {size} with the same seed differ, or are out of order.")
    found.facts["size"] = size


@promised("data")
def revision(subject: Subject, found: Found) -> None:
    """The revision names the data: a Hub dataset's is its pinned commit, local files' changes with a row."""
    task, data = subject.task, subject.data
    if subject.path is None and task.dataset is None:
        found.skip("Generated data: that its revision is a digest of it cannot be seen from here.")
    elif subject.path is None:
        wanted = getattr(task, "dataset_revision", None)
        if data.revision != wanted if wanted else not _COMMIT.fullmatch(data.revision):
            found.fail(f"It is {data.revision!r}; it must be {wanted or 'the commit that was read'}.")
    else:
        with fewer_rows(subject.path) as changed:
            try:
                other = task.load(changed, subject.split_wanted)
            except DataError as error:
                found.skip(f"A copy with one row fewer is not read: {error}")
                return
        if other.revision == data.revision:
            found.fail(f"It is {data.revision!r} for a copy with one row fewer, too.")


CHECKS: tuple[Check[Subject], ...] = (
    file,
    declarations,
    pinned,
    label_names,
    data,
    ids,
    texts,
    labels,
    evidence,
    repeatable,
    other_process,
    sampled,
    revision,
)
