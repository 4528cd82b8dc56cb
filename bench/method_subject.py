"""A method under check, and its answers on tiny models, each made once and when it is first asked for."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from whybench.bench.batch import Batch
from whybench.bench.choices import CONTROL, UNRANKED, GateName
from whybench.bench.classifier import Classifier
from whybench.bench.conformance import ANYTHING, Found
from whybench.bench.curves import Floats
from whybench.bench.errors import ScoresError, UnsupportedArchitectureError, reason_of
from whybench.bench.gates import ModelState, difference, gates, random_state_kept, seed_everything
from whybench.bench.method import Attribution, Method
from whybench.bench.method_sense import Sensed, grounds, sensed
from whybench.bench.next_token import NextTokenModel
from whybench.bench.operators import operator_for
from whybench.bench.schema import Coverage, Failure, GateOutcome
from whybench.bench.scoring import check_shape, unrankable
from whybench.bench.tiny_models import FAMILIES, TEXTS, UNSUPPORTED, fresh_classifier, tiny_language_model

SEED = 0
NEXT_TOKEN = "gpt2's next token"
MODELS = (*FAMILIES, UNSUPPORTED, "bart", NEXT_TOKEN)
"""The tiny models: deberta-v2's attention cannot be read, and bart embeds a text twice."""
CONTRASTS = ((" great", " slow"), (" film", " the"), (" cast", " bad"), (" a", " film"))


class Trial:
    """A method on one tiny model, which is its own: what the method does to it is seen, and does no harm elsewhere."""

    def __init__(self, method: Method, model: str) -> None:
        self.method, self.model = method, model

    @cached_property
    def classifier(self) -> Classifier:
        """The tiny model."""
        return tiny_language_model("gpt2") if self.model == NEXT_TOKEN else fresh_classifier(self.model)

    @cached_property
    def batch(self) -> Batch:
        """A few texts of several lengths; one is a single word."""
        return self.encoded(TEXTS)

    def encoded(self, texts: Sequence[str] | Sequence[tuple[str, str]]) -> Batch:
        """Texts as a run gives them to a method: with their target and the removal operator."""
        model = self.classifier
        if isinstance(model, NextTokenModel):
            # a continuation follows a word, not a full stop
            prompts = [str(text).lower().rstrip(".") for text in texts]
            batch = model.encode(prompts, contrasts=CONTRASTS[: len(prompts)])
        else:
            batch = model.encode(texts)
            batch = batch.with_target(model.probabilities(batch).argmax(dim=1))
        return batch.with_operator(operator_for(model, None))

    def explain(self, batch: Batch, classifier: Classifier | None = None) -> Attribution:
        """The method's answer, with every source of random numbers seeded, and left afterwards as it was."""
        with random_state_kept():
            seed_everything(SEED)
            return self.method.explain(classifier or self.classifier, batch)

    @cached_property
    def _first(self) -> tuple[Attribution | None, str, bool, bool]:
        """The answer for `batch`, or why there is none and whether that is allowed; whether it drew global numbers."""
        _ = self.state, self.batch
        with random_state_kept():
            seed_everything(SEED)
            before = _random_numbers()
            try:
                self.method.require_served(self.classifier)
                answer = self.method.explain(self.classifier, self.batch)
                check_shape(self.batch, answer.scores)
            except UnsupportedArchitectureError as error:
                return None, str(error), True, False
            except ANYTHING as error:  # whatever a contributor's code raises is the reason to show
                return None, reason_of(error), False, False
            return answer, "", True, _random_numbers() != before

    @cached_property
    def state(self) -> ModelState:
        """The model as it was before the method saw it."""
        return ModelState(self.classifier.model)

    @property
    def unserved(self) -> str:
        """Why there is no answer on this model; empty where there is one, or where the method broke down."""
        answer, reason, allowed, _ = self._first
        return reason if answer is None and allowed else ""

    @property
    def broken(self) -> str:
        """What the method raised in place of an answer; empty where it did not."""
        _, reason, allowed, _ = self._first
        return "" if allowed else reason

    @property
    def draws_global_numbers(self) -> bool:
        """Whether the method drew random numbers from a global generator."""
        return self._first[3]

    @property
    def answer(self) -> Attribution:
        """The answer for `batch`, one score per token."""
        answer, reason, _, _ = self._first
        if answer is None:
            raise UnsupportedArchitectureError(reason)
        return answer

    @cached_property
    def unsaid(self) -> Mapping[int, ScoresError]:
        """Index of an example of `batch` whose scores cannot be ranked, and why; without those the method names."""
        signed = self.method.signed or self.method.negative
        unranked = unrankable(self.batch, self.answer.scores, signed=signed)
        return {i: error for i, error in unranked.items() if i not in self.answer.failed}

    @cached_property
    def failed(self) -> Mapping[int, str]:
        """Index of an example of `batch` that has no scores to be ranked, and why."""
        return {**{i: str(error) for i, error in self.unsaid.items()}, **self.answer.failed}

    @cached_property
    def change_by_label(self) -> float:
        """Largest difference to the scores for another label, as `whybench.bench.gates.difference` has it."""
        batch = self.batch
        other = self.explain(batch.with_target((self.classifier.target(batch) + 1) % len(self.classifier.labels)))
        rows = zip(batch.unit_scores(self.answer.scores), batch.unit_scores(other.scores), strict=True)
        without = {*self.failed, *other.failed}
        return max((difference(a.numpy(), b.numpy()) for i, (a, b) in enumerate(rows) if i not in without), default=0.0)

    @cached_property
    def gates(self) -> Mapping[GateName, GateOutcome]:
        """What the gates of a run say."""
        good = [i for i in range(len(self.batch)) if i not in self.failed]
        failed = tuple(Failure(example=self.batch.ids[i], reason=why) for i, why in sorted(self.failed.items()))
        coverage = Coverage(examples=len(self.batch), scored=len(good), truncated=0, failed=failed)
        report: dict[str, Floats] = {
            name: figure.detach().cpu().double().numpy()[good] for name, figure in self.answer.report.items() if good
        }
        return gates(self.method, self.classifier, self.batch, coverage, report, self.state, SEED)

    def copied(self, *, device: str | None = None, dtype: torch.dtype | None = None) -> Classifier:
        """The same model on another device or in another precision."""
        model: Any = copy.deepcopy(self.classifier.model)
        return type(self.classifier)(model.to(device=device, dtype=dtype), self.classifier.tokenizer)


@dataclass
class Subject:
    """A method under check.

    Attributes:
        method: The method with its parameters.
        models: Names of the tiny models that it is tried on.
        trained: Whether it is also tried on the built-in tasks and their trained models.
    """

    method: Method
    models: Sequence[str] = MODELS
    trained: bool = True

    @cached_property
    def trials(self) -> Sequence[Trial]:
        """The method on every tiny model; on none where it is a control, which gives no token scores of its own."""
        return [Trial(self.method, model) for model in self.models] if self.method.family != CONTROL else []

    @cached_property
    def answered(self) -> Sequence[Trial]:
        """Those on which it has an answer."""
        return [trial for trial in self.trials if not trial.unserved and not trial.broken]

    @cached_property
    def sensed(self) -> Mapping[str, Sensed]:
        """By task what its answers on trained models are worth."""
        if not self.trained or self.method.family in UNRANKED:
            return {}
        return {ground.task: sensed(self.method, ground) for ground in grounds()}

    def each(self, found: Found, look: Callable[[Trial], str | None]) -> None:
        """Look at every model with an answer; what is wrong on several is said once, with their names."""
        if not self.answered:
            found.skip("There is no answer to look at; see models.")
        wrong: dict[str, list[str]] = {}
        for trial in self.answered:
            if said := look(trial):
                wrong.setdefault(said, []).append(trial.model)
        for said, models in wrong.items():
            found.fail(f"{listed(models)}: {said}")


def listed(models: Sequence[str]) -> str:
    """Names of models for a sentence."""
    return "on all models" if len(models) == len(MODELS) else ", ".join(models)


def _random_numbers() -> list[Any]:
    """The global generators' states, to be compared with ``==``."""
    numpy: Any = np.random.get_state(legacy=False)  # noqa: NPY002  it is the global generator that is looked at
    return [random.getstate(), repr(numpy), numpy["state"]["key"].tolist(), torch.get_rng_state().tolist()]
