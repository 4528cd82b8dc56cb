"""The forward engine: the one place where perturbed inputs meet the model.

It is given the inputs of all methods, metrics and operators, drops those that it has seen, sorts the rest by length,
packs them by token budget, and keeps every answer, so that the next method pays only for what is new.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats
from whybench.bench.errors import ModelError, ParameterError
from whybench.bench.operators import Perturbation

TOKEN_BUDGET = {"cpu": 4096, "cuda": 131_072}

Progress = Callable[[int, int], None]


@dataclass
class EngineCounts:
    """What the engine has done so far.

    Attributes:
        asked: Inputs asked for.
        forwarded: Inputs that went through the model.
        real_tokens: Tokens of those.
        padded_tokens: The same with their batches' padding.
        batches: Forward passes.
        halvings: How often the budget was halved because memory ran out.
    """

    asked: int = 0
    forwarded: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    batches: int = 0
    halvings: int = 0


class ForwardEngine:
    """Probabilities of perturbed inputs, each computed once.

    Args:
        classifier: The classifier.
        token_budget: Most tokens in a forward pass, padding included; None takes a default for the device.

    Raises:
        ParameterError: The budget is not positive.
    """

    def __init__(self, classifier: Classifier, *, token_budget: int | None = None) -> None:
        if token_budget is not None and token_budget < 1:
            raise ParameterError(f"token_budget is {token_budget}; it must be at least 1.")
        self.classifier = classifier
        self.token_budget = token_budget or TOKEN_BUDGET.get(classifier.device.type, TOKEN_BUDGET["cpu"])
        self.counts = EngineCounts()
        # where each input's answer stands; keys are digests, as long texts would fill the memory
        self._known: dict[bytes, int] = {}
        self._answers: Floats = np.empty((0, len(classifier.labels)))

    def probabilities(self, perturbations: Sequence[Perturbation], progress: Progress | None = None) -> Floats:
        """Softmax probabilities ``[perturbations, labels]``, float64.

        Args:
            perturbations: Inputs; the same one may come any number of times.
            progress: Called with the number of inputs answered and to answer, after every forward pass.
        """
        keys = [_key(perturbation) for perturbation in perturbations]
        new = {
            key: perturbation for key, perturbation in zip(keys, perturbations, strict=True) if key not in self._known
        }
        # by length, longest first, so that running out of memory shows at once; then by content, so that the packing
        # does not depend on the order of asking
        order = sorted(new.items(), key=lambda item: (-len(item[1].ids), item[0]))
        self.counts.asked += len(perturbations)
        start = 0
        while start < len(order):
            width = len(order[start][1].ids)
            stop = start + max(1, self.token_budget // width)
            chunk = order[start:stop]
            try:
                answers = self._forward([perturbation for _, perturbation in chunk], width)
            except (torch.OutOfMemoryError, MemoryError) as error:
                if len(chunk) == 1:
                    raise ModelError(
                        f"one input of {width} tokens does not fit into the memory of {self.classifier.device}. "
                        "Use a larger device or a shorter maximal length."
                    ) from error
                self.token_budget = max(1, width * (len(chunk) // 2))
                self.counts.halvings += 1
                if self.classifier.device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            self._keep([key for key, _ in chunk], answers)
            start += len(chunk)
            if progress is not None:
                progress(start, len(order))
        found: Floats = self._answers[[self._known[key] for key in keys]] if keys else self._answers[:0]
        return found

    def _keep(self, keys: list[bytes], answers: Floats) -> None:
        first = len(self._known)
        if first + len(keys) > len(self._answers):
            more = np.empty((max(1024, len(self._answers), len(keys)), self._answers.shape[1]))
            self._answers = np.concatenate((self._answers, more))
        self._answers[first : first + len(keys)] = answers
        self._known.update(zip(keys, range(first, first + len(keys)), strict=True))

    def _forward(self, perturbations: list[Perturbation], width: int) -> Floats:
        device = self.classifier.device
        ids = np.full((len(perturbations), width), self.classifier.pad_id, dtype=np.int64)
        mask = np.zeros_like(ids)
        types = None if perturbations[0].types is None else np.zeros_like(ids)
        pairs = [perturbation.contrast for perturbation in perturbations if perturbation.contrast is not None]
        for i, perturbation in enumerate(perturbations):
            length = len(perturbation.ids)
            ids[i, :length] = perturbation.ids
            mask[i, :length] = perturbation.mask
            if types is not None and perturbation.types is not None:
                types[i, :length] = perturbation.types
        with torch.no_grad():
            logits = self.classifier.logits_from_ids(
                torch.from_numpy(ids).to(device),
                torch.from_numpy(mask).to(device),
                None if types is None else torch.from_numpy(types).to(device),
                torch.from_numpy(np.stack(pairs)).long().to(device) if pairs else None,
            )
            answers = logits.double().softmax(dim=-1).cpu().numpy()
        if not np.isfinite(answers).all():
            raise ModelError(
                f"{self.classifier.name} gave a probability that is not finite. Check the checkpoint's weights."
            )
        self.counts.batches += 1
        self.counts.forwarded += len(perturbations)
        self.counts.real_tokens += int(sum(len(perturbation.ids) for perturbation in perturbations))
        self.counts.padded_tokens += ids.size
        return answers


def _key(perturbation: Perturbation) -> bytes:
    # the length first, so that two perturbations never share bytes by running into one another
    parts = (perturbation.ids, perturbation.mask, perturbation.types, perturbation.contrast)
    content = len(perturbation.ids).to_bytes(4, "little") + b"".join(
        part.tobytes() for part in parts if part is not None
    )
    return hashlib.blake2b(content, digest_size=16).digest()
