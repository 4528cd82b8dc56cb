"""The words that may stand in for those of a text."""

from __future__ import annotations

import numpy as np

from whybench.bench.classifier import Classifier
from whybench.bench.curves import Ints


def ordinary_ids(classifier: Classifier) -> Ints:
    """Token ids that the model has an embedding for and that are no special tokens, ``[ids]``."""
    embeddings = len(classifier.model.get_input_embeddings().weight)  # type: ignore[arg-type]
    special = {*classifier.tokenizer.all_special_ids, classifier.pad_id}
    most = min(embeddings, len(classifier.tokenizer))
    return np.array([token for token in range(most) if token not in special], dtype=np.int64)
