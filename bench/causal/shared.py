"""What all methods of a task share in the causal suite: made once, and dropped with the task."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from whybench.bench.attention import AttentionRecord
from whybench.bench.batch import Batch
from whybench.bench.causal.chance import generator
from whybench.bench.causal.erasure import cut_out, erased
from whybench.bench.causal.identifiability import Identifiability, identify
from whybench.bench.causal.variants import as_it_is, logits_of
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats, Ints
from whybench.bench.engine import ForwardEngine, Progress
from whybench.bench.errors import ModelError
from whybench.bench.operators import OperatorName, Remover
from whybench.bench.perturbations import Perturbations

# removals answered together: a long text has hundreds
REMOVALS_AT_ONCE = 4096
SPECIMENS, SPECIMEN_TOKENS = 3, 96


class Shared:
    """A task's examples with what of them does not depend on the method; each part is computed when it is first asked.

    Args:
        engine: Of the float32 classifier.
        batch: The encoded examples with their frozen targets.
        operator: Removal operator of leave-one-out.
        seed: The run's seed.

    Raises:
        ModelError: The device has no float64.
    """

    def __init__(self, engine: ForwardEngine, batch: Batch, operator: OperatorName, seed: int) -> None:
        self.engine, self.batch, self.operator, self.seed = engine, batch, operator, seed
        self.classifier = engine.classifier
        if self.classifier.device.type == "mps":
            raise ModelError("the causal suite needs float64, which mps devices lack; give --device cpu.")
        self.targets: list[int] = self.classifier.target(batch).tolist()
        self._identified: dict[int, Identifiability] = {}
        self._logits: dict[int, Tensor] = {}
        self._gradients: dict[int, Floats] = {}
        self._drops: dict[int, Floats] = {}
        self._erased: dict[tuple[int, int], tuple[float, float]] = {}
        self._orders: dict[int, list[int]] = {}

    @cached_property
    def exact(self) -> Classifier:
        """The classifier in float64, where what holds by construction shows as rounding errors of 1e-12."""
        model = copy.deepcopy(self.classifier.model).double()
        name, revision = self.classifier.name, self.classifier.revision
        return type(self.classifier)(model, self.classifier.tokenizer, name=name, revision=revision)

    def one(self, i: int) -> Batch:
        """One example as a batch of its own, without padding."""
        return self.batch.select([i])

    def record(self, i: int) -> AttentionRecord:
        """The example's attention in float64; not kept, as it is large."""
        with torch.no_grad():
            return self.exact.attention(self.one(i))

    def identified(self, i: int, record: AttentionRecord | None = None) -> Identifiability:
        """The null space under the example's attention; ``record`` is what `record` gives, where it is at hand."""
        if i not in self._identified:
            self._identified[i] = identify(self.record(i) if record is None else record)
        return self._identified[i]

    def numbers(self, i: int) -> int:
        """Attention weights of the example, of all layers and heads."""
        rows = self.identified(i).share
        return rows.numel() * rows.shape[-1]

    def own_logits(self, i: int) -> Tensor:
        """The model's logits ``[labels]`` in float64, with its own attention put in its place."""
        if i not in self._logits:
            self._logits[i] = logits_of(self.exact, self.one(i), [as_it_is], self.numbers(i))[0]
        return self._logits[i]

    def decision(self, i: int) -> int:
        """The label that the model gives the example; the target, where that is the prediction."""
        return int(self.own_logits(i).argmax())

    @cached_property
    def specimens(self) -> dict[int, tuple[int, int]]:
        """Examples whose matrices are kept to be looked at, and the layer and head of each: the same for every method.

        The first `SPECIMENS` short ones in which a head has a null space, then the first other short ones; the head
        with the largest share of ‖A‖² in its null space.
        """
        short = [i for i, length in enumerate(self.batch.lengths().tolist()) if length <= SPECIMEN_TOKENS]
        chosen: list[int] = []
        for i in short:
            if len(chosen) < SPECIMENS and bool(self.identified(i).dimension.any()):
                chosen.append(i)
        chosen += [i for i in short if i not in chosen][: SPECIMENS - len(chosen)]
        return {i: self.identified(i).widest_head() for i in sorted(chosen)}

    def gradient_scores(self, i: int) -> Floats:
        """Per unit the L2 norm of the target logit's gradient for its tokens' embeddings, added up, ``[units]``."""
        if i not in self._gradients:
            one = self.one(i)
            _, gradient = self.classifier.embedding_gradient(one)
            self._gradients[i] = one.unit_scores(gradient.norm(dim=-1))[0].numpy()
        return self._gradients[i]

    def drops(self, examples: Sequence[int], progress: Progress) -> list[Floats]:
        """Per example the drops ``p(x) − p(R(x, {i}))`` of its units, ``[units]``, by the task's operator."""
        remover = Remover(self.classifier, self.batch, self.operator)
        counts = self.batch.unit_counts().tolist()
        pending: list[int] = []
        asked = 0
        for done, i in enumerate(examples):
            if i not in self._drops:
                pending.append(i)
                asked += counts[i] + 1
            if pending and (asked >= REMOVALS_AT_ONCE or done == len(examples) - 1):
                # nothing removed, then each unit alone
                sets = [np.eye(counts[i] + 1, counts[i], -1, dtype=bool) for i in pending]
                rows = Perturbations.joined([remover.perturb(i, drop) for i, drop in zip(pending, sets, strict=True)])
                answers = np.split(self.engine.probabilities(rows), np.cumsum([len(removed) for removed in sets])[:-1])
                for i, found in zip(pending, answers, strict=True):
                    self._drops[i] = found[0, self.targets[i]] - found[1:, self.targets[i]]
                pending, asked = [], 0
            progress(done + 1, len(examples))
        return [self._drops[i] for i in examples]

    def random_order(self, i: int) -> list[int]:
        """The example's units in a random order, the same for every method."""
        if i not in self._orders:
            count = int(self.batch.unit_counts()[i])
            order: Ints = generator(self.seed, self.batch.ids[i], "erasure").permutation(count)
            self._orders[i] = order.tolist()
        return self._orders[i]

    def erased(self, i: int, units: Sequence[int]) -> list[tuple[float, float]]:
        """Divergence and flip (1.0 or 0.0) for each of these units cut out of the model's attention, in float32."""
        new = [unit for unit in units if (i, unit) not in self._erased]
        if new:
            one = self.one(i)
            variants = [as_it_is, *(cut_out(one.units[0] == unit) for unit in new)]
            logits = logits_of(self.classifier, one, variants, self.numbers(i))
            for unit, outcome in zip(new, erased(logits, int(logits[0].argmax())), strict=True):
                self._erased[i, unit] = outcome
        return [self._erased[i, unit] for unit in units]
