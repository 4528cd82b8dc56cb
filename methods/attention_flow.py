"""Attention flow: how much can flow through all layers from the row that the head reads to each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_flow
from torch import Tensor

from whybench.bench.attention import check_attention
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats
from whybench.bench.method import Method

# Capacities are whole numbers of this share of 1; all that leaves the source then fits into 32 bits
UNIT = 2.0**-30


class AttentionFlow(Method):
    """Maximum flow from the token that the head reads, behind the last layer, to each token before the first.

    Tokens and layers form a network; the edge from token i behind a layer to token j before it has the capacity
    ``½ A_ij + ½ [i = j]``, A averaged over heads. A token's score is the most that can flow to it when all capacities
    are its own to use, between 0 and 1; scores do not add up to 1. Where the head reads the mean of all tokens, the
    source gives each of them its share. Unlike rollout, flow is not divided at every token: the narrowest cut decides.

    Source: Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", ACL 2020, arXiv:2005.00928. Unsigned:
    flows are never negative. One network flow problem per token, solved exactly by SciPy (Dinic) for capacities rounded
    to multiples of 2⁻³⁰: a flow is off by at most 2⁻³¹ per edge of its narrowest cut.
    """

    name, family, signed = "attention_flow", "attention", False
    # on the processor, whatever the device: a third of a second for 128 tokens in 6 layers, and seconds for 256
    default: ClassVar[bool] = False

    @property
    def label_specific(self) -> bool:
        """Attention is of the text, whatever the label."""
        return False

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Flows ``[batch, tokens]``, float64, from 0 to 1.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read.
        """
        check_attention(classifier.model)
        with torch.no_grad():
            record = classifier.attention(batch)
        readout = classifier.readout_weights(batch)
        scores = torch.zeros_like(readout)
        for index, length in enumerate(batch.lengths().tolist()):
            layers = [weights[index, :, :length, :length].double().mean(dim=0).cpu() for weights in record.weights]
            flows = _flows([layer.numpy() for layer in layers], readout[index, :length].cpu().numpy())
            scores[index, :length] = torch.from_numpy(flows).to(scores)
        return scores


def _flows(layers: Sequence[Floats], readout: Floats) -> Floats:
    """The maximum flow to each token, ``[tokens]``; per layer ``[queries, keys]``, from the first to the last."""
    graph = _network(layers, readout)
    source = graph.shape[0] - 1
    return np.array([maximum_flow(graph, source, token).flow_value * UNIT for token in range(len(readout))])


def _network(layers: Sequence[Floats], readout: Floats) -> csr_array:
    """Capacities in units; node ``layer · tokens + token``, the embeddings being layer 0, and the source at the end."""
    tokens = len(readout)
    source = (len(layers) + 1) * tokens
    starts, ends, capacities = [], [], []
    for index, layer in enumerate(layers):
        queries, keys = np.indices(layer.shape)
        starts.append((queries + (index + 1) * tokens).ravel())
        ends.append((keys + index * tokens).ravel())
        capacities.append((layer / 2 + np.eye(tokens) / 2).ravel())
    starts.append(np.full(tokens, source))
    ends.append(np.arange(tokens) + len(layers) * tokens)
    capacities.append(readout)
    whole = np.rint(np.concatenate(capacities) / UNIT).astype(np.int32)
    kept = whole > 0
    edges = (np.concatenate(starts)[kept], np.concatenate(ends)[kept])
    return coo_array((whole[kept], edges), shape=(source + 1, source + 1)).tocsr()
