"""Matrix methods for the causal suite's tests: a control, others that go wrong, and one of chance."""

import torch

from whybench.bench.causal.chance import generator
from whybench.bench.causal.shared import Shared
from whybench.bench.engine import ForwardEngine
from whybench.bench.matrices import Matrices, MatrixMethod
from whybench.bench.tiny_models import TEXTS, tiny_classifier


class Own(MatrixMethod):
    """The model's attention."""

    name, family, signed = "own", "attention", False

    def transform(self, weights, values, allowed):
        return Matrices(weights)


class Even(MatrixMethod):
    """The same weight on every key."""

    name, family, signed = "even", "control", False

    def transform(self, weights, values, allowed):
        rows = allowed.expand(weights.shape).to(weights.dtype)
        return Matrices(rows / rows.sum(dim=-1, keepdim=True))


class Doubled(MatrixMethod):
    """Rows that sum to 2: no distributions."""

    name, family, signed = "doubled", "attention", False

    def transform(self, weights, values, allowed):
        return Matrices(2 * weights)


class Mixed(MatrixMethod):
    """The model's attention mixed with a random share of even attention in each draw."""

    name, family, signed = "mixed", "control", False
    draws = 3
    shares = (0.1, 0.7, 0.4)

    def transform(self, weights, values, allowed):
        return Matrices(weights)

    def draw(self, classifier, batch, index, record=None):
        record = classifier.attention(batch)
        even = [layer.weights for layer in Even().matrices(classifier, batch)]
        share = self.shares[index]
        return tuple(Matrices((1 - share) * a + share * e) for a, e in zip(record.weights, even, strict=True))


class Uncertain(MatrixMethod):
    """Its rows of texts with an even number of tokens miss their certificate."""

    name, family, signed = "uncertain", "control", False

    def transform(self, weights, values, allowed):
        missed = torch.full(weights.shape[:-1], weights.shape[-1] % 2 == 0)
        return Matrices(weights, {"residual": missed.double()}, ~missed, {"residual": 0.5}, "Try another one.")


class Broken(MatrixMethod):
    """Matrices that cannot take the place of the attention, each in its own way."""

    name, family, signed = "broken", "control", False
    how: str = "nan"

    def transform(self, weights, values, allowed):
        made = weights.clone()
        if self.how == "nan":
            made[..., 0] = torch.nan
        elif self.how == "future":
            made = torch.full_like(weights, 1 / weights.shape[-1])
        elif self.how == "shape":
            made = made[..., :-1]
        elif self.how == "raise":
            raise IndexError("list index out of range")
        return Matrices(made)


def shared_of(family, texts=TEXTS, seed=0, **options):
    """The shared part of a task of these texts with a tiny random model."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(texts, **options)
    batch = batch.with_target(classifier.probabilities(batch).argmax(dim=-1))
    operator = "mask" if classifier.tokenizer.mask_token is not None else "delete"
    return Shared(ForwardEngine(classifier), batch, operator, seed)


def random_rows(heads, queries, keys, sharpness=2.0, seed=0, causal=False):
    """Distributions ``[heads, queries, keys]``, float64, and the keys that each may attend to."""
    scores = torch.from_numpy(generator(seed, "rows").standard_normal((heads, queries, keys)))
    allowed = torch.ones(1, queries, keys, dtype=torch.bool)
    if causal:
        allowed = allowed.tril()
    return (sharpness * scores).masked_fill(~allowed, -torch.inf).softmax(dim=-1), allowed
