"""golden.json, computed twice: by the project's functions, and in fractions by plain Python of its own.

The expected values were worked out by hand; what they must be follows from the definitions below.
"""

import hashlib
import json
import math
from fractions import Fraction
from importlib.resources import files
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from whybench.bench.batch import Batch
from whybench.bench.curves import SOFT_DRAWS, SUBSETS, grid_of, k_of
from whybench.bench.examples_table import curves_from
from whybench.bench.metrics import METRICS, PROTOCOL_VERSION
from whybench.bench.operators import Remover
from whybench.bench.scoring import rankings, tie_breaker

GOLDEN = json.loads((files("whybench.bench") / "golden.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in GOLDEN["metrics"]}


def exact(number):
    """The decimal as it is written, not the float nearest to it."""
    return Fraction(str(number))


def mean(values):
    values = list(values)
    return sum(values, Fraction(0)) / len(values)


def at_least(n, percent):
    """⌈percent·n/100⌉, at least 1 and at most n."""
    return min(n, max(1, math.ceil(Fraction(percent * n, 100))))


def tau_b(first, second):
    agree = differ = only_first = only_second = 0
    for i in range(len(first)):
        for j in range(i):
            a, b = first[i] - first[j], second[i] - second[j]
            agree += a * b > 0
            differ += a * b < 0
            only_first += a == 0 and b != 0
            only_second += b == 0 and a != 0
    either, other = agree + differ + only_first, agree + differ + only_second
    return (agree - differ) / math.sqrt(either * other) if either and other else 0.0


def reference(record):
    """Every metric of one example by the letter of the protocol."""
    n, p = record["units"], exact(record["removed_p"][0])
    removed, kept, single, drawn, soft, scores = (
        [exact(value) for value in record[name]]
        for name in ("removed_p", "kept_p", "single_p", "drawn_p", "soft_p", "unit_scores")
    )
    k = [at_least(n, percent) for percent in (1, 5, 10, 20, 50)]
    grid = [math.ceil(Fraction(t * n, 10)) for t in range(11)]
    flips = [i for i in range(1, n + 1) if record["removed_flipped"][i]]
    found = {
        "comprehensiveness": mean(p - removed[i] for i in k),
        "sufficiency": mean(p - kept[i] for i in k),
        "deletion_auc": sum((removed[a] + removed[b]) / 2 for a, b in pairwise(grid)) / 10,
        "insertion_auc": sum((kept[a] + kept[b]) / 2 for a, b in pairwise(grid)) / 10,
        "decision_flip": Fraction(flips[0], n) if flips else Fraction(1),
        "never_flips": Fraction(not flips),
        "log_odds": math.log(removed[at_least(n, 20)] / p),
        "loo_agreement": tau_b(scores, [p - value for value in single]),
    }
    empty = 1 - max(0, p - kept[0])
    found["normalised_sufficiency"] = found["normalised_comprehensiveness"] = None
    if empty != 1:
        found["normalised_sufficiency"] = mean(
            min(1, max(0, (1 - max(0, p - kept[i]) - empty) / (1 - empty))) for i in k
        )
        found["normalised_comprehensiveness"] = mean(min(1, max(0, p - removed[i]) / (1 - empty)) for i in k)

    sets = [record["drawn_units"][i * n : (i + 1) * n] for i in range(SUBSETS)]
    sums = [sum(score for score, inside in zip(scores, units, strict=True) if inside) for units in sets]
    drops = [p - value for value in drawn]
    found["infidelity"] = None
    if any(drops):
        power = sum(s * s for s in sums)
        beta = sum(s * d for s, d in zip(sums, drops, strict=True)) / power if power else 0
        left = mean((beta * s - d) ** 2 for s, d in zip(sums, drops, strict=True))
        found["infidelity"] = left / mean(d * d for d in drops)

    names = ["soft_comprehensiveness", "soft_sufficiency", "soft_comprehensiveness_twin", "soft_sufficiency_twin"]
    for row, name in enumerate(names):
        draws = soft[row * SOFT_DRAWS : (row + 1) * SOFT_DRAWS]
        found[name] = mean(p - value for value in draws) if len(set(scores)) > 1 else None
    return found


def test_it_is_of_this_protocol_and_has_every_metric():
    assert GOLDEN["protocol_version"] == PROTOCOL_VERSION
    assert all(set(case["expected"]) == set(METRICS) for case in CASES.values())
    for name, metric in METRICS.items():
        values = [case["expected"][name] for case in CASES.values()]
        assert (None in values) == bool(metric.undefined), name
        assert len(set(values)) > 1, name


@pytest.mark.parametrize("name", CASES)
def test_metrics(name):
    record, expected = CASES[name]["record"], CASES[name]["expected"]
    plain = reference(record)
    curves = curves_from(record, record["units"])
    for metric, value in expected.items():
        found = METRICS[metric].value(curves)
        if value is None:
            assert plain[metric] is found is None, metric
        else:
            assert float(plain[metric]) == pytest.approx(value, abs=1e-15), metric
            assert found == pytest.approx(value, abs=1e-12), metric


def test_thresholds():
    for case in GOLDEN["k"]:
        assert k_of(case["percent"], case["n"]) == at_least(case["n"], case["percent"]) == case["k"]
    for case in GOLDEN["grid"]:
        n = case["n"]
        assert grid_of(n) == [math.ceil(Fraction(t * n, 10)) for t in range(11)] == case["k"]


@pytest.mark.parametrize("case", GOLDEN["ranking"])
def test_ranking_with_ties(case):
    seed, name, scores = case["seed"], case["example_id"], case["scores"]
    words = np.frombuffer(hashlib.sha256(f"{seed}:{name}".encode()).digest(), dtype="<u4")
    permutation = np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist()))).permutation(len(scores))
    assert permutation.tolist() == case["permutation"] == tie_breaker(len(scores), seed, name).tolist()
    plain = sorted(range(len(scores)), key=lambda unit: (-scores[unit], case["permutation"][unit]))
    (rank,) = rankings(SimpleNamespace(ids=(name,)), [np.array(scores)], seed)
    assert np.argsort(rank).tolist() == plain == case["best_first"]


@pytest.mark.parametrize("case", GOLDEN["operators"]["cases"], ids=lambda c: f"{c['operator']} {c['removed']}")
def test_operators(case):
    toy = GOLDEN["operators"]
    ids, mask = [], []
    for token, unit in zip(toy["input_ids"], toy["units"], strict=True):
        if unit not in case["removed"]:
            ids, mask = [*ids, token], [*mask, 1]
        elif case["operator"] != "delete":
            ids = [*ids, toy[f"{case['operator']}_id"]]
            mask = [*mask, int(case["operator"] == "mask")]
    assert (ids, mask) == (case["ids"], case["attention_mask"])

    tokenizer = SimpleNamespace(mask_token_id=toy["mask_id"], bos_token_id=toy["begin_id"], eos_token_id=None)
    classifier = SimpleNamespace(tokenizer=tokenizer, pad_id=toy["pad_id"])
    units = torch.tensor([toy["units"]])
    batch = Batch(
        input_ids=torch.tensor([toy["input_ids"]]),
        attention_mask=torch.ones_like(units),
        token_type_ids=None,
        units=units,
        texts=(("",),),
        tokens=((),),
        token_spans=((),),
        unit_spans=((),),
        ids=("a",),
        truncated=(False,),
    )
    removed = np.array([[unit in case["removed"] for unit in range(3)]])
    (row,) = Remover(classifier, batch, case["operator"]).perturb(0, removed)
    assert (row.ids.tolist(), row.mask.tolist()) == (ids, mask)
