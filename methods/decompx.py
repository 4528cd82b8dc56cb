"""DecompX: every state as a sum of one vector per input token, from the embeddings to the logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import ClassVar

import torch
from torch import Tensor

from whybench.bench.attention import check_attention
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._block_reading import affine, blocks
from whybench.methods._blocks import BUDGET, Affine, PostNormBlock
from whybench.methods._token_vectors import through_activation, through_affine, through_layer

_Head = tuple[str, Callable[[Tensor], Tensor] | str, str]
_BERT: _Head = ("base_model.pooler.dense", "base_model.pooler.activation", "classifier")
_ROBERTA: _Head = ("classifier.dense", torch.tanh, "classifier.out_proj")
# The classification head's two projections, and what is between them
_HEADS: dict[str, _Head] = {
    **dict.fromkeys(("bert", "ernie"), _BERT),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert"), _ROBERTA),
    "albert": ("base_model.pooler", "base_model.pooler_activation", "classifier"),
    "electra": ("classifier.dense", "classifier.activation", "classifier.out_proj"),
    "distilbert": ("pre_classifier", torch.relu, "classifier"),
}


class DecompX(ReportingMethod):
    """What each token's vector is worth to the target's logit when it is carried through all layers and the head.

    The state of token i is ``x_i = Σ_k x_(i⇐k)``, one vector per input token k, at first ``x_(i⇐i) = x_i``. Attention
    mixes the vectors by its weights, projections act on each, layer normalisation divides by the state's true standard
    deviation, and an activation function is the line through the origin to its true value, ``f(x) / x`` elementwise. A
    bias is shared out by ``|bias · vector|``. The pooler and the classifier do the same, to one number per token and
    label.

    Source: Modarressi et al. 2023, "DecompX: Explaining Transformers Decisions by Propagating Token Decomposition", ACL
    2023, arXiv:2306.02873; biases as in the authors' code by default (absdot). Signed: positive supports the target.
    Complete: the scores of all tokens, special ones included, add up to the target's logit itself; there is no
    baseline. What is missing is reported as ``completeness_delta`` (in logits) and as ``completeness_delta_relative``
    (a share of the logit). It costs about as much as one forward pass per token of the text.
    """

    name, family, signed = "decompx", "attention", True
    serves: ClassVar[Sequence[str]] = tuple(_HEADS)
    # above 60 forward passes for a text of 100 tokens
    default: ClassVar[bool] = False

    @torch.no_grad()
    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, and the completeness deltas, ``[batch]``.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read, or the method does not know the weights
                behind it.
        """
        check_attention(classifier.model)
        self.require_served(classifier)
        logits = classifier.logits(batch)
        target = classifier.target(batch, logits)
        made: list[Tensor] = []
        tokens = batch.input_ids.shape[1]
        # as many examples as have their states' vectors within the budget
        step = max(1, BUDGET // (4 * tokens**2 * classifier.model.config.hidden_size))
        for start in range(0, len(batch), step):
            some = batch.select(range(start, min(start + step, len(batch))))
            decomposed = _decomposed(classifier, some)
            own = target[start : start + step, None, None].expand(-1, decomposed.shape[1], 1)
            scores = decomposed.gather(2, own)[:, :, 0] * some.attention_mask
            made.append(torch.nn.functional.pad(scores, (0, tokens - scores.shape[1])))
        scores = torch.cat(made)
        explained = logits.gather(1, target[:, None])[:, 0].to(scores)
        delta = (scores.sum(dim=1) - explained).abs()
        return Attribution(
            scores,
            {"completeness_delta": delta, "completeness_delta_relative": delta / explained.abs().clamp_min(1e-12)},
        )


def _decomposed(classifier: Classifier, batch: Batch) -> Tensor:
    """What each token is worth to each logit, ``[batch, tokens, labels]``."""
    layers = blocks(classifier, batch)
    tokens = batch.input_ids.shape[1]
    vectors = torch.diag_embed(layers[0].inputs.mT).permute(0, 2, 3, 1)
    for index, block in enumerate(layers):
        assert isinstance(block, PostNormBlock)
        # the head reads the first token alone
        queries = 1 if index == len(layers) - 1 else tokens
        vectors = through_layer(block, vectors, queries, first=index == 0)
    dense, activation, out = _head(classifier)
    last = layers[-1].finish(layers[-1].attended()[:, :1])
    hidden = through_activation(activation, through_affine(dense, vectors), dense(last))
    return through_affine(out, hidden)[:, 0]


def _head(classifier: Classifier) -> tuple[Affine, Callable[[Tensor], Tensor], Affine]:
    dense, activation, out = _HEADS[classifier.model.config.model_type]
    between = attrgetter(activation)(classifier.model) if isinstance(activation, str) else activation
    return affine(attrgetter(dense)(classifier.model)), between, affine(attrgetter(out)(classifier.model))
