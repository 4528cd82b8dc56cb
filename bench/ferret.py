"""Faithfulness as ferret measures it (Attanasio et al. 2023, arXiv:2208.01575): the rules of its package, version 0.4.

ferret removes tokens from the ids, writes what is left as text, and reads that text again. The text need not come back
as the ids that it was written from: the end of a word whose beginning is gone is written onto the word before it, and
the two are read as whatever pieces they make. So its numbers cannot be had from ids, and this is the one place of
whybench where a removal goes through text.

- The first and the last token are taken for special ones: they are never ranked, removed or counted in n. They are cut
  off before a text is written, and reading it adds them again.
- Sizes are ``⌊t·n⌋`` for t = .1, .2, …, 1. A set is the best ``⌊t·n⌋`` tokens, less those whose score is not above 0.
  Empty sets, and those that are the same as the one before, are left out of the mean.
- Probabilities are those of float32, so that drops of a model that is sure may tie, which Kendall's τ sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats, Ints
from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import InputError, OperatorError
from whybench.bench.metric import Metric
from whybench.bench.perturbations import IdArray, Perturbations, digests

FERRET = "Attanasio et al. 2023, ferret, arXiv:2208.01575"
PERCENTS = tuple(range(10, 101, 10))
TEXTS_AT_ONCE = 8192


@dataclass(frozen=True)
class FerretMetric(Metric):
    """A metric of one example's drops ``p(x) - p(text)`` over texts in which some tokens are left.

    Attributes:
        left: Given the tokens' scores ``[tokens]``, which of them each text keeps, ``[texts, tokens]``.
        value: The number, from the drops ``[texts]`` and the scores ``[tokens]``.
    """

    left: Callable[[Floats], Bools]
    value: Callable[[Floats, Floats], float]


def rationales(scores: Floats) -> list[Ints]:
    """The distinct sets of best tokens with a score above 0, smallest first; none where no score is.

    Of equal scores the later token is the better one: ferret takes the end of an ascending sort. It leaves the order of
    ties to numpy's unstable sort, which depends on version and processor beyond a few tokens; here the sort is stable.
    """
    order = np.argsort(scores, kind="stable")[::-1]
    best = order[scores[order] > 0]
    sizes = dict.fromkeys(min(len(scores) * percent // 100, len(best)) for percent in PERCENTS)
    return [best[:k] for k in sizes if k > 0]


def _without(scores: Floats) -> Bools:
    return ~_only(scores)


def _only(scores: Floats) -> Bools:
    sets = rationales(scores)
    kept = np.zeros((len(sets), len(scores)), dtype=bool)
    for row, tokens in zip(kept, sets, strict=True):
        row[tokens] = True
    return kept


def _without_each(scores: Floats) -> Bools:
    return ~np.eye(len(scores), dtype=bool)


def aopc_comprehensiveness(drops: Floats, scores: Floats) -> float:
    """Mean drop when the sets are removed; 0 where there is no set."""
    return float(np.mean(drops)) if len(drops) else 0.0


def aopc_sufficiency(drops: Floats, scores: Floats) -> float:
    """Mean drop when only the sets are left; 1 where there is no set."""
    return float(np.mean(drops)) if len(drops) else 1.0


def tau_leave_one_out(drops: Floats, scores: Floats) -> float:
    """Kendall's τ-b of the scores and the drops without each token; NaN where either is constant, as in ferret."""
    if (drops == drops[0]).all() or (scores == scores[0]).all():
        return float("nan")
    return float(kendalltau(drops, scores, variant="b").statistic)


METRICS: dict[str, FerretMetric] = {
    metric.name: metric
    for metric in (
        FerretMetric(
            "aopc_compr",
            "AOPC comprehensiveness",
            "mean over the distinct sets K of p(x) − p(text without K)",
            FERRET,
            True,
            (-1.0, 1.0),
            _without,
            aopc_comprehensiveness,
        ),
        FerretMetric(
            "aopc_suff",
            "AOPC sufficiency",
            "mean over the distinct sets K of p(x) − p(text of K alone)",
            FERRET,
            False,
            (-1.0, 1.0),
            _only,
            aopc_sufficiency,
        ),
        FerretMetric(
            "taucorr_loo",
            "τ with leave-one-out",
            "Kendall τ-b of the scores and p(x) − p(text without token i)",
            FERRET,
            True,
            (-1.0, 1.0),
            _without_each,
            tau_leave_one_out,
        ),
    )
}


def ferret_values(
    engine: ForwardEngine, batch: Batch, token_scores: Tensor, metrics: Sequence[FerretMetric]
) -> dict[str, list[float]]:
    """The metrics' values, one per example.

    Args:
        engine: Answers each distinct input once.
        batch: Single texts. Their target, or else the engine's prediction, is what is scored.
        token_scores: ``[batch, tokens]``; those of the first and last token and of padding are not read.
        metrics: What to compute.

    Raises:
        InputError: The batch has pairs of texts, of which ferret knows nothing.
        OperatorError: The tokenizer does not put one special token at either end, as ferret takes for granted.
    """
    inner = [_inner_ids(engine.classifier, batch, index) for index in range(len(batch))]
    frozen = None if batch.target is None else batch.target.cpu().tolist()
    every_score = batch.with_units("token").unit_scores(token_scores)
    values: dict[str, list[float]] = {metric.name: [] for metric in metrics}
    pending: list[tuple[int, Floats, list[int]]] = []
    asked: list[_Texts] = []

    def answer() -> None:
        # float32 as in ferret, then float64 for the means; ties stay ties
        answers, start = _answers(engine, batch, asked).astype(np.float32), 0
        for index, scores, counts in pending:
            stop = start + 1 + sum(counts)
            target = int(answers[start].argmax()) if frozen is None else frozen[index]
            drops = (answers[start, target] - answers[start + 1 : stop, target]).astype(np.float64)
            for metric, part in zip(metrics, np.split(drops, np.cumsum(counts)[:-1]), strict=True):
                values[metric.name].append(metric.value(part, scores))
            start = stop
        pending.clear()
        asked.clear()

    waiting = 0
    for index, (ids, unit_scores) in enumerate(zip(inner, every_score, strict=True)):
        scores = unit_scores.numpy()
        left = [metric.left(scores) for metric in metrics]
        pending.append((index, scores, [len(rows) for rows in left]))
        asked.append(_Texts.of(index, ids, np.concatenate(left)))
        waiting += 1 + sum(map(len, left))
        if waiting >= TEXTS_AT_ONCE:
            answer()
            waiting = 0
    if pending:
        answer()
    return values


class _Texts(NamedTuple):
    """An example's text, and those of which some tokens are left.

    Attributes:
        example: The example's index in the batch.
        ids: Ids of the tokens that each text is written from, one text after the other.
        lengths: How many they are; the whole text first.
    """

    example: int
    ids: IdArray
    lengths: Ints

    @classmethod
    def of(cls, example: int, ids: IdArray, left: Bools) -> _Texts:
        """The texts of an example whose tokens are ``ids``; ``left`` is ``[texts, tokens]``."""
        kept = np.concatenate((ids, ids[left.nonzero()[1]]))
        return cls(example, kept, np.concatenate(([len(ids)], np.count_nonzero(left, axis=1))))


def _answers(engine: ForwardEngine, batch: Batch, asked: Sequence[_Texts]) -> Floats:
    """Probabilities ``[texts, labels]``. A text is written and read only where no text was of these tokens before."""
    ids = np.concatenate([texts.ids for texts in asked])
    lengths = np.concatenate([texts.lengths for texts in asked])
    starts = np.cumsum(lengths) - lengths
    firsts = np.cumsum([0, *(len(texts.lengths) for texts in asked[:-1])]).tolist()
    whole = {first: batch.texts[texts.example][0] for first, texts in zip(firsts, asked, strict=True)}
    # no id is negative: a text is told apart from an input, and one as it was given from one that is written
    heads = np.full((len(lengths), 1), -1, dtype=np.int32)
    heads[firsts] = -2

    def make(places: Ints) -> Perturbations:
        tokens = [ids[starts[place] : starts[place] + lengths[place]].tolist() for place in places]
        written = engine.classifier.tokenizer.batch_decode(tokens)
        return _read(engine.classifier, [whole.get(p, text) for p, text in zip(places.tolist(), written, strict=True)])

    return engine.probabilities_of(digests(ids, lengths, heads), make)


def _inner_ids(classifier: Classifier, batch: Batch, index: int) -> IdArray:
    """The ids between the first and the last token, which must be the text's own and all of them."""
    if len(batch.texts[index]) != 1:
        raise InputError(
            f"example {batch.ids[index]!r} is a pair; ferret scores single texts. Use the profile 'whybench' for pairs."
        )
    length = int(batch.lengths()[index])
    special = (batch.units[index, :length] < 0).tolist()
    if special != [True, *[False] * (length - 2), True] or batch.tokens[index][0] != classifier.tokenizer.cls_token:
        raise OperatorError(
            f"ferret takes the first and the last token for special ones, the first for the tokenizer's cls token; "
            f"that of {classifier.name!r} reads example {batch.ids[index]!r} as {list(batch.tokens[index])[:3]}…"
            f"{list(batch.tokens[index])[-1:]}. Use another profile for this model."
        )
    ids: IdArray = batch.input_ids[index, 1 : length - 1].cpu().numpy().astype(np.int32)
    return ids


def _read(classifier: Classifier, texts: Sequence[str]) -> Perturbations:
    """What the tokenizer makes of each text, an empty one too; cut where the model's limit is."""
    encoded = classifier.tokenizer(list(texts), truncation=True, max_length=classifier.max_length)
    ids = np.concatenate(encoded["input_ids"]).astype(np.int32)
    columns = [ids, np.ones_like(ids)]
    if "token_type_ids" in encoded:
        columns.append(np.concatenate(encoded["token_type_ids"]).astype(np.int32))
    return Perturbations(np.column_stack(columns), np.array([len(row) for row in encoded["input_ids"]]))
