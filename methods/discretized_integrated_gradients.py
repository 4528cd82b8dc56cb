"""Discretized integrated gradients: paths from each word to the baseline that keep near other words."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._baselines import Baseline, baseline_embeddings, baseline_id
from whybench.methods._coalitions import check_at_least_one
from whybench.methods._points import add_up, gradients_at
from whybench.methods._vocabulary import ordinary_ids
from whybench.methods._word_paths import Strategy, WordPaths


class DiscretizedIntegratedGradients(ReportingMethod):
    """Integrated gradients on paths from each word to the baseline that keep near other words.

    ``s_j = Σ_k ½ (∂z(p_k)/∂x_j + ∂z(p_{k+1})/∂x_j) · (p_{k,j} − p_{k+1,j})`` from the text p_0 to the baseline p_m.

    z is the target's logit. Every token moves on a path of its own, and all of them at once. A path goes from word to
    word of the vocabulary, special tokens excepted, each moved so far that no embedding dimension ever turns.

    Source: Sanyal & Ren 2021, "Discretized Integrated Gradients for Explaining Language Models" (EMNLP),
    arXiv:2108.13654. Ours are the trapezoid in place of the left sum, and that a dimension in which the word is not
    between goes on by an even share of what is left. Special tokens are the same in the baseline. Signed: positive
    supports the target. The scores add up to the logit's difference between text and baseline but for the sum's error,
    which is large, as the steps are; it is reported as ``unexplained`` (in logits), and not claimed to be small. Runs
    only where it is asked for by name: it estimates what integrated_gradients does, with less precision.

    Attributes:
        n_steps: Steps of a path.
        strategy: How the next word is chosen among the nearest ones: ``greedy`` takes the one that has to be moved
            least, ``maxcount`` the one with most dimensions between the point and the baseline.
        neighbours: How many nearest words it is chosen from.
        refine: Into how many equal parts every step is cut: more of them make the error less.
        baseline: Token that stands for "nothing": ``mask``, ``pad``, or the tokenizer's mask token where it has one and
            else its pad token (``auto``).
        internal_batch_size: Most points in one forward pass.
    """

    name, family, signed = "discretized_integrated_gradients", "gradient", True
    default = False

    n_steps: int = 30
    strategy: Strategy = "greedy"
    neighbours: int = 500
    refine: int = 1
    baseline: Baseline = "auto"
    internal_batch_size: int = 128

    def __post_init__(self) -> None:
        sizes = {"neighbours": self.neighbours, "refine": self.refine, "internal_batch_size": self.internal_batch_size}
        check_at_least_one(self.name, n_steps=self.n_steps, **sizes)
        if self.strategy not in get_args(Strategy):
            raise ParameterError(f"{self.name}: strategy is {self.strategy!r}; it must be greedy or maxcount.")

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, 0 on special tokens and padding; what they leave unexplained.

        Raises:
            OperatorError: ``baseline`` is ``mask``, and the tokenizer has no mask token.
            ParameterError: The tokenizer has fewer than two words.
            UnsupportedArchitectureError: The gradient does not reach the word embeddings.
        """
        batch = batch.with_target(classifier.target(batch))
        removable = batch.units >= 0
        text, start = classifier.embeddings(batch), baseline_embeddings(classifier, batch, self.baseline)
        paths, path_of = self._paths(classifier, batch)
        last = paths.shape[1] - 1

        def points_at(examples: list[int], numbers: list[int], width: int) -> Tensor:
            """The points of these numbers, ``[rows, width, hidden]``, float64."""
            moved = paths[path_of[examples, :width], torch.tensor(numbers, device=paths.device)[:, None]]
            return torch.where(removable[examples, :width, None], moved, text[examples, :width].double())

        def make(examples: list[int], numbers: list[int], width: int) -> Tensor:
            return points_at(examples, numbers, width).to(text.dtype)

        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64, device=batch.device)
        counts = [last + 1] * len(batch)
        for examples, numbers, _, gradient in gradients_at(classifier, batch, counts, make, self.internal_batch_size):
            width = gradient.shape[1]
            before = points_at(examples, [max(number - 1, 0) for number in numbers], width)
            after = points_at(examples, [min(number + 1, last) for number in numbers], width)
            add_up(scores, examples, ((before - after) * gradient.double()).sum(dim=-1) / 2)

        with torch.no_grad():
            logits = classifier.logits(batch) - classifier.logits_from_embeddings(start, batch)
            change = logits.double().gather(1, classifier.target(batch)[:, None])[:, 0]
        return Attribution(scores, {"unexplained": (scores.sum(dim=1) - change).abs()})

    def _paths(self, classifier: Classifier, batch: Batch) -> tuple[Tensor, Tensor]:
        """Paths ``[words, points, hidden]``, float64, and which one each token has, ``[batch, tokens]``."""
        ordinary = torch.from_numpy(ordinary_ids(classifier)).to(batch.device)
        if len(ordinary) < 2:
            raise ParameterError(f"{classifier.name} has {len(ordinary)} words; paths from word to word need two.")
        ids, path_of = torch.unique(batch.input_ids, return_inverse=True)
        place = torch.full((int(max(ids.max(), ordinary.max())) + 1,), -1, device=batch.device)
        place[ordinary] = torch.arange(len(ordinary), device=batch.device)
        with torch.no_grad():
            layer = classifier.embedding_layer
            end = layer(torch.tensor(baseline_id(classifier, self.baseline), device=batch.device))
            finder = WordPaths(layer(ordinary), end, self.n_steps, self.neighbours, self.strategy)
            # special tokens within a text's own words, such as unknown ones, have no neighbours: theirs is a line
            line = torch.linspace(0, 1, self.n_steps + 1, dtype=torch.float64, device=batch.device)[:, None]
            paths = torch.lerp(layer(ids).double()[:, None], end.double(), line)
            if (known := place[ids] >= 0).any():
                paths[known] = finder.paths(place[ids][known])
        parts = torch.arange(self.refine, dtype=torch.float64, device=batch.device)[:, None] / self.refine
        cut = torch.lerp(paths[:, :-1, None], paths[:, 1:, None], parts).flatten(1, 2)
        return torch.cat((cut, paths[:, -1:]), dim=1), path_of
