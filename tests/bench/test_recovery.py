import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from whybench.bench.recovery import average_precision, evidence_f1, evidence_units


@pytest.mark.parametrize("seed", range(20))
def test_equals_sklearn(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 40))
    rank = random.permutation(n)
    evidence = np.zeros(n, dtype=bool)
    evidence[random.choice(n, size=int(random.integers(1, n)), replace=False)] = True
    assert average_precision(rank, evidence) == pytest.approx(average_precision_score(evidence, -rank), abs=1e-12)
    assert evidence_f1(rank, evidence) == pytest.approx(f1_score(evidence, rank < evidence.sum()), abs=1e-12)


def test_by_hand():
    evidence = np.array([True, False, False, True])
    # the evidence stands at ranks 1 and 3 of 0…3: precisions 1/2 and 2/4
    assert average_precision(np.array([1, 0, 2, 3]), evidence) == 0.5
    # of the two best units one is evidence
    assert evidence_f1(np.array([1, 0, 2, 3]), evidence) == 0.5


def test_a_unit_is_evidence_if_it_shares_a_character():
    units = ((0, 0, 3), (0, 4, 8), (1, 0, 3))
    assert evidence_units(units, ((0, 7, 9),)).tolist() == [False, True, False]
    assert evidence_units(units, ((1, 0, 1),)).tolist() == [False, False, True]
    assert evidence_units(units, ((0, 3, 4),)).tolist() == [False, False, False]
    assert evidence_units(units, ()).tolist() == [False, False, False]
