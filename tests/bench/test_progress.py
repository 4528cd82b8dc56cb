"""What a person sees while a cell runs."""

import io
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import OutOfMemoryWarning
from whybench.bench.operators import Remover
from whybench.bench.progress import ProgressObserver, RateColumn


def test_every_halving_is_shown_once_above_the_bar(xor_classifier, xor_batch, monkeypatch):
    plain = xor_classifier.logits_from_ids

    def small(ids, *rest):
        if ids.numel() > 150:
            raise MemoryError
        return plain(ids, *rest)

    monkeypatch.setattr(xor_classifier, "logits_from_ids", small)
    printed, engine = io.StringIO(), ForwardEngine(xor_classifier)
    n = int(xor_batch.unit_counts()[0])
    sets = [[i < k for i in range(n)] for k in range(n)]
    with ProgressObserver(Console(file=printed, width=300), SimpleNamespace()):
        engine.probabilities(Remover(xor_classifier, xor_batch, "mask").perturb(0, np.array(sets)))
    lines = printed.getvalue().splitlines()
    assert len([line for line in lines if "do not fit into the memory of cpu" in line]) == engine.counts.halvings > 1


def test_other_warnings_go_where_they_went():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with ProgressObserver(Console(file=io.StringIO()), SimpleNamespace()):
            warnings.warn("another", UserWarning, stacklevel=1)
        assert [str(warning.message) for warning in seen] == ["another"]
        # and afterwards all is as it was
        warnings.warn("ours", OutOfMemoryWarning, stacklevel=1)
        assert len(seen) == 2


def test_the_bar_has_a_rate_and_the_time_left():
    printed = io.StringIO()
    console = Console(file=printed, width=120, force_terminal=True)
    with ProgressObserver(console, SimpleNamespace()) as observer:
        observer.cell_started(SimpleNamespace(), SimpleNamespace(label=lambda: "random"))
        for done in range(1, 5):
            observer.progressed("scoring", 50 * done, 400)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.getvalue())
    assert re.search(r"random scoring .*200/400 +[\d,]+/s +\d+:\d\d:\d\d", shown), shown


@pytest.mark.parametrize(
    ("speed", "said"), [(None, ""), (0.25, "0.2/s"), (3.14, "3.1/s"), (12.6, "13/s"), (4321.0, "4,321/s")]
)
def test_rates(speed, said):
    assert RateColumn().render(SimpleNamespace(finished_speed=None, speed=speed)).plain == said
