"""VarGrad: how much the gradient of the target's logit varies among noisy copies of the text."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.bench.method import Method
from whybench.methods._coalitions import check_at_least_one
from whybench.methods._noise import check_noise, noisy
from whybench.methods._points import add_up, gradients_at


class VarGrad(Method):
    """How much the target's gradient varies among noisy copies of the text.

    ``1/N Σ_n ‖g_nj − ḡ_j‖²`` with ``g_nj = ∂z(x + ε_n)/∂x_j`` and ḡ its mean over the N noisy copies.

    z is the target's logit and x_j a token's word embedding; the noise is that of smoothgrad. The variances of all
    embedding dimensions are added up.

    Source: Adebayo et al. 2018, "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to Parameter
    Values" (ICLR workshop), arXiv:1810.03307. Unsigned.

    Attributes:
        samples: Noisy copies N of a text, at least 2.
        noise: Standard deviation as a share of the text's range, above 0.
        internal_batch_size: Most copies in one forward pass.
        seed: Of the noise; each example has a stream of its own.
    """

    name, family, signed = "vargrad", "gradient", False

    samples: int = 25
    noise: float = 0.15
    internal_batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, internal_batch_size=self.internal_batch_size)
        check_noise(self.name, self.noise)
        if self.samples < 2 or self.noise == 0:
            raise ParameterError(
                f"vargrad: samples is {self.samples}, noise {self.noise}; one copy, or copies without noise, have no "
                "variance. Give at least 2 samples, and a noise above 0."
            )

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Variances in (logits per unit of embedding)², ``[batch, tokens]``; 0 on padding.

        Raises:
            UnsupportedArchitectureError: The gradient does not reach the word embeddings.
        """
        batch = batch.with_target(classifier.target(batch))
        make = noisy(classifier, batch, self.name, self.seed, self.noise)
        total = torch.zeros_like(classifier.embeddings(batch), dtype=torch.float64)
        squares = torch.zeros_like(total)
        counts = [self.samples] * len(batch)
        for examples, _, _, gradient in gradients_at(classifier, batch, counts, make, self.internal_batch_size):
            # in float64, so that little is lost where the squares are subtracted
            add_up(total, examples, gradient.double())
            add_up(squares, examples, gradient.double().square())
        variance = (squares / self.samples - (total / self.samples).square()).clamp_min(0)
        return variance.sum(dim=-1) * batch.attention_mask
