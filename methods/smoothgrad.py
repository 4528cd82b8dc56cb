"""SmoothGrad: the mean gradient of the target's logit at noisy copies of the text."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method
from whybench.methods._coalitions import check_at_least_one
from whybench.methods._noise import check_noise, noisy
from whybench.methods._points import add_up, gradients_at


class SmoothGrad(Method):
    """Length of the target's mean gradient over noisy copies of the text.

    ``‖ 1/N Σ_n ∂z(x + ε_n)/∂x_j ‖₂`` for each token's word embedding x_j, z the target's logit.

    ε is Gaussian on every token that can be removed, of a standard deviation in proportion to the text's range (its
    largest embedding entry less its smallest); special tokens have no noise. The norm over embedding dimensions is
    taken of the mean, as gradient takes it of the one gradient.

    Source: Smilkov et al. 2017, arXiv:1706.03825. Unsigned.

    Attributes:
        samples: Noisy copies N of a text.
        noise: Standard deviation as a share of the text's range; the paper recommends 0.1 to 0.2.
        internal_batch_size: Most copies in one forward pass.
        seed: Of the noise; each example has a stream of its own.
    """

    name, family, signed = "smoothgrad", "gradient", False

    samples: int = 25
    noise: float = 0.15
    internal_batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, samples=self.samples, internal_batch_size=self.internal_batch_size)
        check_noise(self.name, self.noise)

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Norms in logits per unit of embedding, ``[batch, tokens]``; 0 on padding.

        Raises:
            UnsupportedArchitectureError: The gradient does not reach the word embeddings.
        """
        batch = batch.with_target(classifier.target(batch))
        make = noisy(classifier, batch, self.name, self.seed, self.noise)
        total = torch.zeros_like(classifier.embeddings(batch), dtype=torch.float64)
        counts = [self.samples] * len(batch)
        for examples, _, _, gradient in gradients_at(classifier, batch, counts, make, self.internal_batch_size):
            add_up(total, examples, gradient.double())
        norm: Tensor = torch.linalg.vector_norm(total / self.samples, dim=-1)
        return norm * batch.attention_mask
