"""Expected gradients (GradientSHAP): integrated gradients with a random baseline and a random point at a time."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method
from whybench.methods._baselines import baseline_ids
from whybench.methods._coalitions import check_at_least_one, generator_for
from whybench.methods._points import add_up, gradients_at
from whybench.methods._vocabulary import ordinary_ids


class GradientShap(Method):
    """Expected gradients: integrated gradients with a random baseline and a random point at a time.

    ``E_{x', α} (x_j − x'_j) · ∂z(x' + α (x − x'))/∂x_j``, α uniform in [0, 1], z the target's logit.

    A baseline x' is a text of random words: every token that can be removed is replaced by one drawn uniformly from the
    tokenizer's vocabulary without its special tokens. (The paper draws them from the training data, which a method does
    not have here.) Special tokens are the same in it. With one baseline (``mask``, ``pad``) the expectation is
    integrated gradients.

    Source: Erion et al. 2021, "Improving performance of deep learning models with axiomatic attribution priors and
    expected gradients", arXiv:1906.10670; as GradientSHAP in Lundberg's SHAP and in Captum. Signed: positive supports
    the target. In expectation the scores add up to z(x) − E z(x'); a sample's do not, so that no delta is reported.

    Attributes:
        samples: Pairs of a baseline and a point.
        baseline: ``random``, or one token for all samples: ``mask``, ``pad``, or the mask token where there is one and
            else the pad token (``auto``).
        internal_batch_size: Most points in one forward pass.
        seed: Of the draws; each example has a stream of its own.
    """

    name, family, signed = "gradient_shap", "gradient", True
    note = "Its baselines are random words of the vocabulary, not texts of a training set."

    samples: int = 50
    baseline: Literal["random", "auto", "mask", "pad"] = "random"
    internal_batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, samples=self.samples, internal_batch_size=self.internal_batch_size)

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Scores in logits, ``[batch, tokens]``; 0 on special tokens and padding.

        Raises:
            OperatorError: ``baseline`` is ``mask``, and the tokenizer has no mask token.
            UnsupportedArchitectureError: The gradient does not reach the word embeddings.
        """
        batch = batch.with_target(classifier.target(batch))
        text = classifier.embeddings(batch)
        ordinary = ordinary_ids(classifier)
        fixed = None if self.baseline == "random" else baseline_ids(classifier, batch, self.baseline)
        starts: list[Tensor] = []

        def make(examples: list[int], numbers: list[int], width: int) -> Tensor:
            some = batch.select(examples)
            drawn = some.input_ids.clone()
            places = torch.empty(len(examples), dtype=torch.float64)
            for row, (example, number) in enumerate(zip(examples, numbers, strict=True)):
                generator = generator_for(self.name, self.seed, f"{batch.ids[example]}:{number}")
                places[row] = generator.random()
                if fixed is None:
                    length = int(some.attention_mask[row].sum())
                    drawn[row, :length] = torch.from_numpy(generator.choice(ordinary, size=length)).to(drawn.device)
                else:
                    drawn[row] = fixed[example, :width]
            ids = torch.where(some.units >= 0, drawn, some.input_ids)
            starts.append(classifier.embeddings(dataclasses.replace(some, input_ids=ids)))
            return torch.lerp(starts[-1], text[examples, :width], places.to(text)[:, None, None])

        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64, device=batch.device)
        counts = [self.samples] * len(batch)
        for examples, _, _, gradient in gradients_at(classifier, batch, counts, make, self.internal_batch_size):
            difference = text[examples, : gradient.shape[1]].double() - starts.pop().double()
            add_up(scores, examples, (difference * gradient.double()).sum(dim=-1))
        return scores / self.samples
