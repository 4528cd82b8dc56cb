"""How fast whybench scores attributions beside ferret-xai, on one thread and in one run.

    python scripts/compare_ferret.py MODEL SENTENCES --ferret PYTHON

MODEL is the folder of a checkpoint, SENTENCES a text file with one on each line, or a parquet file with a column
``text``, PYTHON the interpreter of an environment with ferret (whybench/tests/compat/ferret-requirements.txt; the
recording script beside it makes one). Every side gets the same attributions. They take turns, and the median of the
processor time of each is reported, which other work on the machine changes little:

- ferret: its own evaluation, one explanation at a time, in a process of its own (tests/compat/ferret_clock.py);
- loop: the same texts, one example of one method at a time, as one padded batch;
- whybench: profile "ferret", whose numbers are held to ferret's, and the protocol's comprehensiveness, sufficiency and
  leave-one-out agreement; with a new engine, with one more method on a warm engine, and all of it again;
- plain: the tokens that the engine sent, cut into rows of one length, in full batches without any padding.

Exit code 1: a number is not ferret's. Kendall's τ hangs on the order of drops that can be equal but for rounding, so
that it is compared on ferret's own drops, and the drops with ferret's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whybench import Batch, Classifier, load_method
from whybench.bench.engine import TOKEN_BUDGET, EngineCounts, ForwardEngine
from whybench.bench.ferret import METRICS, ferret_values
from whybench.bench.metrics import metrics_named
from whybench.bench.operators import operator_for
from whybench.bench.scoring import rankings, record_curves
from whybench.tests import compat

REAL = ("gradient", "gradient_x_input", "raw_attention")
PROTOCOL = ("comprehensiveness", "sufficiency", "loo_agreement")
TOLERANCE = 1e-5
# of drops in float32 (tests/compat/test_ferret.py)
ROUNDING = 5e-6
BUDGETS = (1024, 2048)
# enough for a rate
PLAIN_TOKENS = 6144


@dataclass
class Subject:
    """What is scored: a model, sentences, and one score map ``[batch, tokens]`` per method, one more last."""

    classifier: Classifier
    batch: Batch
    maps: list[Tensor]
    times: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        """What the work returns; its seconds are kept under the name."""
        began = time.process_time()
        found = work()
        self.times.setdefault(name, []).append(time.process_time() - began)
        return found

    def seconds(self, name: str) -> float:
        """Median over the repeats."""
        return median(self.times[name])


def sentences(path: Path, count: int) -> list[str]:
    """Evenly spaced ones, so that all lengths are among them."""
    if path.suffix == ".parquet":
        import pyarrow.parquet

        texts = pyarrow.parquet.read_table(path, columns=["text"])["text"].to_pylist()
    else:
        texts = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return texts[:: max(1, len(texts) // count)][:count]


def score_maps(classifier: Classifier, batch: Batch, count: int) -> list[Tensor]:
    """Maps of real methods, then seeded uniform ones; six digits, so that JSON holds them as they are."""
    maps = [load_method(name).attribute(classifier, batch).detach() for name in REAL[:count]]
    random = torch.Generator().manual_seed(0)
    maps += [torch.rand(batch.input_ids.shape, generator=random) * 2 - 1 for _ in range(count - len(maps))]
    return [torch.tensor(np.vectorize(lambda x: float(f"{x:.6g}"))(scores.double().numpy())) for scores in maps]


class Ferret:
    """ferret in its own process; it loads once, and then evaluates all when it is told to."""

    def __init__(self, python: str, model: Path, subject: Subject) -> None:
        lengths, batch = subject.batch.lengths().tolist(), subject.batch
        job = {
            "model": str(model.resolve()),
            "texts": [texts[0] for texts in batch.texts],
            "targets": subject.classifier.target(batch).tolist(),
            "maps": [[row[:n].tolist() for row, n in zip(m, lengths, strict=True)] for m in subject.maps[:-1]],
        }
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        clock = Path(compat.__file__).resolve().parent / "ferret_clock.py"
        self._process = subprocess.Popen(
            [python, "-W", "ignore", clock, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
        )
        self.drops = [np.array(drops) for drops in self._read()["drops"]]

    def evaluate(self) -> dict[str, Any]:
        """Seconds, and ``values [maps, texts, metrics]``."""
        if self._process.stdin is None:
            raise SystemExit("ferret's process has no input")
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise SystemExit(f"ferret's process ended with exit code {self._process.wait()}; see its error above.")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End its process."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


@torch.no_grad()
def loop(subject: Subject) -> None:
    """What one writes first: one example of one method at a time, its texts in one padded batch."""
    tokenizer, batch = subject.classifier.tokenizer, subject.batch
    lengths, targets = batch.lengths().tolist(), subject.classifier.target(batch).tolist()
    for scores in subject.maps[:-1]:
        for i, length in enumerate(lengths):
            ids, own = batch.input_ids[i, 1 : length - 1].numpy(), scores[i, 1 : length - 1].numpy()
            left = [metric.left(own) for metric in METRICS.values()]
            texts = [batch.texts[i][0], *tokenizer.batch_decode([ids[row].tolist() for rows in left for row in rows])]
            encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            p = subject.classifier.model(**encoded).logits.softmax(dim=-1)[:, targets[i]].numpy()
            parts = np.split((p[0] - p[1:]).astype(np.float64), np.cumsum([len(rows) for rows in left])[:-1])
            for metric, part in zip(METRICS.values(), parts, strict=True):
                metric.value(part, own)


def together(subject: Subject, maps: list[Tensor]) -> tuple[Batch, Tensor]:
    """The examples once for each map, so that all are scored in one go."""
    return subject.batch.select([*range(len(subject.batch))] * len(maps)), torch.cat(maps)


def as_ferret(subject: Subject, engine: ForwardEngine, maps: list[Tensor]) -> np.ndarray:
    """``[maps, texts, metrics]`` by the profile "ferret"."""
    values = ferret_values(engine, *together(subject, maps), list(METRICS.values()))
    return np.array(list(values.values())).reshape(len(METRICS), len(maps), -1).transpose(1, 2, 0)


def by_protocol(subject: Subject, engine: ForwardEngine, maps: list[Tensor]) -> None:
    """The protocol's metrics of the maps."""
    batch, scores = together(subject, maps)
    metrics = metrics_named(PROTOCOL)
    units = [row.numpy() for row in batch.unit_scores(scores)]
    operator = operator_for(subject.classifier, "delete")
    ranks = rankings(batch, units, 0)
    for curves in record_curves(engine, batch, operator, range(len(batch)), units, ranks, metrics, 0):
        for metric in metrics:
            metric.value(curves)


@contextmanager
def watched(classifier: Classifier, seen: list[Tensor]) -> Any:
    """What the model is sent meanwhile, without padding, is added to ``seen``."""
    plain = classifier.logits_from_ids

    def remember(ids: Tensor, mask: Tensor, *rest: Tensor | None) -> Tensor:
        seen.append(ids[mask == 1])
        return plain(ids, mask, *rest)

    classifier.logits_from_ids = remember  # type: ignore[method-assign]
    try:
        yield
    finally:
        classifier.logits_from_ids = plain  # type: ignore[method-assign]


@torch.no_grad()
def forward_plainly(subject: Subject, rows: Tensor, budget: int) -> None:
    """Forward passes of rows of one length, ``[rows, tokens]``, in full batches."""
    for ids in rows.split(max(1, budget // rows.shape[1])):
        types = torch.zeros_like(ids) if subject.batch.token_type_ids is not None else None
        subject.classifier.logits_from_ids(ids, torch.ones_like(ids), types)


def check(subject: Subject, own: np.ndarray, theirs: np.ndarray, drops: list[np.ndarray]) -> bool:
    """Whether whybench's numbers are ferret's; prints how far they are."""
    tau = METRICS["taucorr_loo"]
    seen: list[np.ndarray] = []

    def remember(found: np.ndarray, _: np.ndarray) -> float:
        seen.append(found)
        return 0.0

    watching = replace(tau, value=remember)
    ferret_values(ForwardEngine(subject.classifier), subject.batch, subject.maps[0], [watching])
    apart = max(float(np.abs(a - b).max()) for a, b in zip(seen, drops, strict=True))
    lengths = subject.batch.lengths().tolist()
    from_theirs = np.array(
        [
            [tau.value(found, row[1 : n - 1].numpy()) for row, n, found in zip(m, lengths, drops, strict=True)]
            for m in subject.maps[:-1]
        ]
    )
    place = list(METRICS).index(tau.name)
    print("\nThe same numbers: largest difference; figures further than 1e-5 from ferret's")
    for i, name in enumerate(METRICS):
        away = np.abs(own - theirs)[..., i]
        print(f"  {name:28} {np.nanmax(away):.1e}  {(away > TOLERANCE).sum()} of {away.size}")
    off = np.abs(from_theirs - theirs[..., place])
    print(f"  {'τ from its own drops':28} {np.nanmax(off):.1e}  {(off > TOLERANCE).sum()} of {off.size}")
    print(f"  {'drops':28} {apart:.1e}")
    undefined = (np.isnan(own) == np.isnan(theirs)).all()
    close = np.nanmax(np.abs(np.delete(own - theirs, place, axis=2))) <= TOLERANCE and np.nanmax(off) <= TOLERANCE
    return bool(undefined and close and apart <= ROUNDING)


def counted(name: str, counts: EngineCounts) -> None:
    """Print exact counts of an engine."""
    padding = 1 - counts.real_tokens / counts.padded_tokens
    print(
        f"  {name:22} asked {counts.asked:6,}  sent {counts.forwarded:6,} in {counts.batches:3} batches  "
        f"tokens {counts.real_tokens:8,}  padding {padding:.2%}"
    )


def main() -> int:
    """Compare and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--ferret", required=True, metavar="PYTHON")
    parser.add_argument("--count", type=int, default=8, help="sentences (default: %(default)s)")
    parser.add_argument("--methods", type=int, default=6, help="score maps (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="default: %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    classifier = Classifier.from_pretrained(arguments.model, device="cpu")
    batch = classifier.encode(sentences(arguments.sentences, arguments.count))
    batch = batch.with_target(classifier.target(batch))
    subject = Subject(classifier, batch, score_maps(classifier, batch, arguments.methods + 1))
    maps, more = subject.maps[:-1], subject.maps[-1:]
    ferret = Ferret(arguments.ferret, arguments.model, subject)

    # untimed: warms both up, and says which tokens the engine sends
    counts: dict[str, EngineCounts] = {}
    rows: dict[str, Tensor] = {}
    kinds: dict[str, Callable[..., Any]] = {"profile ferret": as_ferret, "protocol": by_protocol}
    for kind, score in kinds.items():
        engine, seen = ForwardEngine(classifier), []  # type: tuple[ForwardEngine, list[Tensor]]
        with watched(classifier, seen):
            score(subject, engine, maps)
        counts[kind] = engine.counts
        tokens = torch.cat(seen)
        width = round(engine.counts.real_tokens / engine.counts.forwarded)
        rows[kind] = tokens[: min(len(tokens), PLAIN_TOKENS) // width * width].reshape(-1, width)

    right = True
    for repeat in range(arguments.repeats):
        answer = ferret.evaluate()
        subject.times.setdefault("ferret", []).append(answer["seconds"])
        if repeat == 0:
            subject.timed("loop", lambda: loop(subject))
        for kind, score in kinds.items():
            engine = ForwardEngine(classifier)
            own = subject.timed(kind, lambda: score(subject, engine, maps))  # noqa: B023  called at once
            subject.timed(f"{kind}, again", lambda: score(subject, engine, maps))  # noqa: B023
            subject.timed(f"{kind}, one more", lambda: score(subject, engine, more))  # noqa: B023
            for budget in BUDGETS:
                subject.timed(f"{kind}, plain {budget}", lambda: forward_plainly(subject, rows[kind], budget))  # noqa: B023
            if kind == "profile ferret" and repeat == 0:
                right = check(subject, own, np.array(answer["values"]), ferret.drops)
    ferret.close()
    report(subject, counts, rows)
    return 0 if right else 1


def report(subject: Subject, counts: dict[str, EngineCounts], rows: dict[str, Tensor]) -> None:
    """Print counts, seconds and ratios."""
    methods, seconds, ferret = len(subject.maps) - 1, subject.seconds, subject.seconds("ferret")
    print(f"\n{len(subject.batch)} sentences, {methods} methods, medians of {len(subject.times['ferret'])}, one thread")
    print("\nCounts of a new engine")
    for kind, found in counts.items():
        counted(kind, found)
    print("\nProcessor seconds, and how many times as fast as ferret")
    print(f"  {'ferret':28} {ferret:8.3f}")
    for name, base in [("loop", ferret)] + [
        (f"{kind}{what}", base)
        for kind in counts
        for what, base in (("", ferret), (", one more", ferret / methods), (", again", ferret))
    ]:
        print(f"  {name:28} {seconds(name):8.3f}  {base / seconds(name):7.1f}x")
    print(f"\nShare of the plain forward rate, unpadded tokens per second (the engine's budget: {TOKEN_BUDGET['cpu']})")
    for kind, found in counts.items():
        plain = max(rows[kind].numel() / seconds(f"{kind}, plain {budget}") for budget in BUDGETS)
        rate = found.real_tokens / seconds(kind)
        print(f"  {kind:22} {rate:8,.0f} of {plain:8,.0f}  {rate / plain:.3f}")


if __name__ == "__main__":
    sys.exit(main())
