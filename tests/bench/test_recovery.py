import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, roc_auc_score

from whybench import Example, Roles, Span
from whybench.bench.errors import DataError
from whybench.bench.recovery import (
    RECOVERY,
    average_precision,
    distractors_ahead,
    evidence_f1,
    evidence_iou,
    evidence_of,
    evidence_units,
    span_f1,
)


def flags(n, *places):
    units = np.zeros(n, dtype=bool)
    units[list(places)] = True
    return units


def ranked(n, *best):
    """Ranks in which these units come first, in this order, and then the others."""
    order = [*best, *(i for i in range(n) if i not in best)]
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    return rank


@pytest.mark.parametrize("seed", range(20))
def test_equals_sklearn(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 40))
    rank = random.permutation(n)
    evidence = np.zeros(n, dtype=bool)
    evidence[random.choice(n, size=int(random.integers(1, n)), replace=False)] = True
    assert average_precision(rank, evidence) == pytest.approx(average_precision_score(evidence, -rank), abs=1e-12)
    best = rank < evidence.sum()
    assert evidence_f1(rank, evidence) == pytest.approx(f1_score(evidence, best), abs=1e-12)
    assert evidence_iou(rank, evidence) == pytest.approx(jaccard_score(evidence, best), abs=1e-12)
    distractor = ~evidence & (random.random(n) < 0.5)
    if distractor.any():
        both = evidence | distractor
        area = roc_auc_score(evidence[both], -rank[both])
        assert distractors_ahead(rank, evidence, distractor) == pytest.approx(1 - area, abs=1e-12)


def test_by_hand():
    evidence = np.array([True, False, False, True])
    # the evidence stands at ranks 1 and 3 of 0…3: precisions 1/2 and 2/4
    assert average_precision(np.array([1, 0, 2, 3]), evidence) == 0.5
    # of the two best units one is evidence
    assert evidence_f1(np.array([1, 0, 2, 3]), evidence) == 0.5
    # units 0 and 1 against 0 and 3: one in both, three in either
    assert evidence_iou(np.array([1, 0, 2, 3]), evidence) == pytest.approx(1 / 3)
    # distractor 1 is ahead of both; distractor 2 of one
    assert distractors_ahead(np.array([1, 0, 2, 3]), evidence, np.array([False, True, True, False])) == 0.75


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        # found 3-5 and 8 against 2-4 and 8: IoUs 2/4 and 1, both match
        ((3, 4, 5, 8), 1.0),
        # 4-6 against 2-4: IoU 1/5; one of two spans matches, on both sides
        ((4, 5, 6, 8), 0.5),
        # 2, 4 and 8-9: IoUs 1/3, 1/3 and 1/2; one match, three spans against two
        ((2, 4, 8, 9), 0.4),
        # 2-3, 6, 8: IoUs 2/3, 0 and 1; two matches
        ((2, 3, 6, 8), 0.8),
        ((0, 1, 5, 6), 0.0),
    ],
)
def test_spans_by_hand(best, expected):
    segments = np.zeros(10, dtype=np.int64)
    assert span_f1(ranked(10, *best), flags(10, 2, 3, 4, 8), segments) == pytest.approx(expected)


def test_a_span_ends_with_its_text():
    rank, evidence = ranked(6, 2, 3), flags(6, 1, 2)
    # as one text: found 2-3, evidence 1-2, IoU 1/3
    assert span_f1(rank, evidence, np.zeros(6, dtype=np.int64)) == 0
    # in two: found 2 and 3, evidence 1-2; 2 matches with 1/2
    assert span_f1(rank, evidence, np.array([0, 0, 0, 1, 1, 1])) == pytest.approx(2 / 3)


def eraser(found, wanted):
    """ERASER's partial match for one document, from sets of positions, and its F1."""
    hits = sum(any(len(f & w) / len(f | w) >= 0.5 for w in wanted) for f in found)
    precision, recall = hits / len(found), hits / len(wanted)
    return 2 * precision * recall / (precision + recall) if hits else 0.0


def runs(units, segments):
    spans, last = [], None
    for i, (there, segment) in enumerate(zip(units, segments, strict=True)):
        if there and last == (i - 1, segment):
            spans[-1].add(i)
        elif there:
            spans.append({i})
        last = (i, segment) if there else None
    return spans


@settings(deadline=None)
@given(st.data())
def test_properties(data):
    n = data.draw(st.integers(1, 24))
    rank = np.array(data.draw(st.permutations(range(n))))
    kinds = np.array(data.draw(st.lists(st.sampled_from("edo"), min_size=n, max_size=n).filter(lambda k: "e" in k)))
    evidence, distractor = kinds == "e", kinds == "d"
    segments = (np.arange(n) >= data.draw(st.integers(0, n))).astype(np.int64)
    best = rank < evidence.sum()
    expected = eraser(runs(best, segments), runs(evidence, segments))
    assert span_f1(rank, evidence, segments) == pytest.approx(expected, abs=1e-12)
    share = evidence_f1(rank, evidence)
    assert evidence_iou(rank, evidence) == pytest.approx(share / (2 - share), abs=1e-12)
    first = np.argsort(np.argsort(~evidence, kind="stable"))
    assert average_precision(first, evidence) == evidence_iou(first, evidence) == 1
    assert span_f1(first, evidence, segments) == 1
    if distractor.any():
        ahead = distractors_ahead(rank, evidence, distractor)
        assert ahead == pytest.approx(1 - distractors_ahead(n - 1 - rank, evidence, distractor), abs=1e-12)
        assert distractors_ahead(first, evidence, distractor) == 0


def test_a_unit_is_evidence_if_it_shares_a_character():
    units = ((0, 0, 3), (0, 4, 8), (1, 0, 3))
    assert evidence_units(units, ((0, 7, 9),)).tolist() == [False, True, False]
    assert evidence_units(units, ((1, 0, 1),)).tolist() == [False, False, True]
    assert evidence_units(units, ((0, 3, 4),)).tolist() == [False, False, False]
    assert evidence_units(units, ()).tolist() == [False, False, False]


# "aa bb cc dd ee": units 0 to 4
WORDS = tuple(Span(0, start, start + 2) for start in range(0, 15, 3))
A, B, C, D, E = WORDS


def example(**roles):
    return Example("x", "aa bb cc dd ee", evidence=(A, B, C), roles=Roles(**roles))


def test_each_role_has_its_own_figure():
    known = evidence_of(example(necessary=(A, B), sufficient=((A,), (C,)), distractor=(E,)), WORDS)
    rank = ranked(5, 4, 2, 0, 3, 1)
    values = {name: metric.value(rank, known) for name, metric in RECOVERY.items()}
    assert values == pytest.approx(
        {
            # ranks of a, b, c are 2, 4, 1
            "average_precision": np.mean([1 / 2, 2 / 3, 3 / 5]),
            "evidence_f1": 2 / 3,
            "evidence_iou": 2 / 4,
            # found a, c, e against a-c: no IoU above 1/3
            "span_f1": 0.0,
            "necessary_average_precision": np.mean([1 / 3, 2 / 5]),
            # c alone is enough, and second
            "sufficient_average_precision": 1 / 2,
            "distractors_ahead": 1.0,
        }
    )
    assert all(known.has(metric.role) for metric in RECOVERY.values())


def test_a_figure_needs_its_role():
    roles = {
        None: {},
        "necessary": {"necessary": (A,)},
        "sufficient": {"sufficient": ((A,),)},
        "distractor": {"distractor": (D,)},
    }
    for role, given_roles in roles.items():
        known = evidence_of(example(**given_roles), WORDS)
        assert {r for r in roles if known.has(r)} == {None, role}
    assert evidence_of(Example("x", "aa bb"), WORDS[:2]) is None
    assert not evidence_of(Example("x", "aa bb", evidence=()), WORDS[:2]).has(None)


def test_a_sufficient_set_that_was_cut_off_is_none():
    known = evidence_of(example(sufficient=((A, B), (B, C))), WORDS[:2])
    assert [units.tolist() for units in known.sufficient] == [[True, True]]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"necessary": (D,)}, r"the necessary span \(0, 9, 11\), which is not among its evidence"),
        ({"sufficient": ((A,), (A, E))}, r"the sufficient span \(0, 12, 14\), which is not among"),
        ({"distractor": (Span(0, 4, 7),)}, r"the distractor \(0, 4, 7\), which overlaps its evidence"),
    ],
)
def test_roles_that_contradict_the_evidence_are_an_error(roles, message):
    with pytest.raises(DataError, match=message):
        example(**roles)
