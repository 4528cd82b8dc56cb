"""The forward engine: the one place where perturbed inputs meet the model.

It is given the inputs of all methods, metrics and operators, drops those that it has seen, sorts the rest by length,
packs them by token budget, and keeps every answer, so that the next method pays only for what is new.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from whybench.bench.answer_table import AnswerTable
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats, Ints
from whybench.bench.errors import ModelError, OutOfMemoryWarning, ParameterError
from whybench.bench.packing import batches
from whybench.bench.perturbations import Keys, Perturbation, Perturbations

TOKEN_BUDGET = {"cpu": 2048, "cuda": 131_072}
# what torch says on a CPU, in a RuntimeError like any other: on Linux and macOS, and on Windows
NO_CPU_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "DefaultCPUAllocator: not enough memory")

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
        self.answers = AnswerTable(len(classifier.labels))

    def probabilities(
        self, perturbations: Perturbations | Sequence[Perturbation], progress: Progress | None = None
    ) -> Floats:
        """Softmax probabilities ``[perturbations, labels]``, float64.

        Args:
            perturbations: Inputs; the same one may come any number of times.
            progress: Called with the number of new inputs answered and to answer, after every forward pass.

        Raises:
            ModelError: A probability is not finite, or one input alone does not fit into the memory.
        """
        inputs = perturbations if isinstance(perturbations, Perturbations) else Perturbations.of(perturbations)
        self.counts.asked += len(inputs)
        return self._probabilities(inputs, progress)

    def probabilities_of(self, keys: Keys, make: Callable[[Ints], Perturbations]) -> Floats:
        """`probabilities` of inputs that take time to make, and are made only where their key is not known yet.

        Args:
            keys: Digests of what the inputs are made from, ``[inputs]``; never those of inputs (`Perturbations.keys`).
            make: Given places in ``keys``, makes those inputs. Any of them may be the same.
        """
        self.counts.asked += len(keys)
        return self._answered(keys, lambda new: self._probabilities(make(new)))

    def _probabilities(self, inputs: Perturbations, progress: Progress | None = None) -> Floats:
        return self._answered(inputs.keys(), lambda new: self._computed(inputs.select(new), progress))

    def _answered(self, keys: Keys, compute: Callable[[Ints], Floats]) -> Floats:
        """Answers ``[keys, labels]``; ``compute`` gives those that are not there, at places each with another key."""
        distinct, first, back = np.unique(keys, return_index=True, return_inverse=True)
        new = np.flatnonzero(~self.answers.has(distinct))
        if len(new):
            self.answers.add(distinct[new], compute(first[new]))
        return self.answers.rows(distinct)[back]

    def _computed(self, inputs: Perturbations, progress: Progress | None) -> Floats:
        """Probabilities of distinct inputs, in batches of similar length."""
        # the longest first, so that running out of memory shows at once; equal ones by key, as they come, so that the
        # packing does not depend on the order of asking
        order = np.argsort(-inputs.lengths, kind="stable")
        lengths = inputs.lengths[order]
        answers = np.empty((len(inputs), len(self.classifier.labels)))
        waiting, done = batches(lengths, self.token_budget), 0
        while waiting:
            batch = slice(done, done + waiting[0].stop - waiting[0].start)
            size, width = batch.stop - batch.start, int(lengths[done])
            try:
                answers[order[batch]] = self._forward(inputs, order[batch])
            except (MemoryError, RuntimeError) as error:
                if not _out_of_memory(error):
                    raise
                self._halve(width, size, error)
                waiting = batches(lengths[done:], self.token_budget)
                continue
            del waiting[0]
            done += size
            self.counts.batches += 1
            self.counts.forwarded += size
            self.counts.real_tokens += int(lengths[batch].sum())
            self.counts.padded_tokens += width * size
            if progress is not None:
                progress(done, len(order))
        return answers

    def _halve(self, width: int, size: int, error: Exception) -> None:
        """Go on with half as many inputs, and say so; ModelError where it was one."""
        device = self.classifier.device
        if size == 1:
            raise ModelError(
                f"one input of {width} tokens does not fit into the memory of {device}. "
                "Use a larger device or a shorter maximal length."
            ) from error
        before, self.token_budget = width * size, width * (size // 2)
        self.counts.halvings += 1
        if device.type == "cuda":
            torch.cuda.empty_cache()
        warnings.warn(
            f"{before} tokens in a forward pass do not fit into the memory of {device}; going on with "
            f"{self.token_budget}. If something else fills the memory, end it for full speed.",
            OutOfMemoryWarning,
            stacklevel=2,
        )

    def _forward(self, inputs: Perturbations, chunk: Ints) -> Floats:
        """Probabilities of the inputs at ``chunk``, the longest first, in one forward pass."""
        device, classifier = self.classifier.device, self.classifier
        padded, contrast = inputs.padded(chunk, classifier.pad_id), inputs.contrast
        with torch.no_grad():
            ids, mask, *types = (torch.from_numpy(column).to(device) for column in padded)
            logits = classifier.logits_from_ids(
                ids,
                mask,
                types[0] if types else None,
                None if contrast is None else torch.from_numpy(contrast[chunk]).long().to(device),
            )
            answers: Floats = logits.double().softmax(dim=-1).cpu().numpy()
        if not np.isfinite(answers).all():
            raise ModelError(
                f"{classifier.name} gave a probability that is not finite. Check the checkpoint's weights."
            )
        return answers


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(text in str(error) for text in NO_CPU_MEMORY)
