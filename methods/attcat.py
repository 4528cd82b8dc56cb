"""AttCAT: the gradient × input of every layer's token, weighted with the attention that the token receives."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.attention import attention_pass, record_of
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method
from whybench.methods._layer_outputs import layer_outputs


class AttCat(Method):
    """Gradient × input of every layer's token, weighted with the attention that the token receives there.

    ``s_j = Σ_l a_j^l · (h_j^l · ∂z/∂h_j^l)``, z the target's logit.

    h_j^l is what layer l returns for token j, and a_j^l the attention that j receives in that layer: the mean over
    heads and real queries. One forward and one backward pass.

    Source: Qiang et al. 2022, "AttCAT: Explaining Transformers via Attentive Class Activation Tokens" (NeurIPS).
    Signed: positive supports the target. The formula is the paper's, in which h_j^l is an output; implementations are
    about that take what enters layer l. Where a head reads one token, the last layer's term is 0 for all others, whose
    outputs are not read.
    """

    name, family, signed = "attcat", "attention", True

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Scores in logits, ``[batch, tokens]``; 0 on padding.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read, or its layers cannot be told.
        """
        with (
            classifier.gradients_for_inputs_only(),
            layer_outputs(classifier.model) as outputs,
            attention_pass(classifier.model) as running,
        ):
            # with frozen parameters, what follows from the embeddings is what has a gradient
            embeddings = classifier.embeddings(batch).requires_grad_()
            logits = classifier.logits_from_embeddings(embeddings, batch)
            hidden = outputs.of(len(running.weights))
            explained = logits.gather(1, classifier.target(batch, logits)[:, None]).sum()
            gradients = torch.autograd.grad(explained, hidden)
        real = batch.attention_mask.double()
        share = real / real.sum(dim=1, keepdim=True)
        scores = torch.zeros_like(real)
        for weights, output, gradient in zip(record_of(running).detached().weights, hidden, gradients, strict=True):
            received = torch.einsum("bhqk,bq->bk", weights.double(), share) / weights.shape[1]
            scores += received * (output.detach().double() * gradient.double()).sum(dim=-1)
        return scores * real
