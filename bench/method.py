"""What a method is: a frozen set of parameters and one verb, ``attribute``."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, dataclass_transform

from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import Bound, Family
from whybench.bench.classifier import Classifier
from whybench.bench.errors import MethodError, UnsupportedArchitectureError
from whybench.bench.source import source_hash


@dataclass(frozen=True, eq=False)
class Attribution:
    """A method's answer for one batch.

    Attributes:
        scores: ``[batch, tokens]``.
        report: Figures about the answer itself, ``[batch]`` each: a completeness delta, a certificate's residual.
        failed: Index of an example and why the method has no answer for it; its scores are not to be used.
    """

    scores: Tensor
    report: Mapping[str, Tensor] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Method(ABC):
    """An explanation method.

    A subclass in a file of its own under ``methods/`` is found by its file's name, which is also its ``name``. It is
    made a frozen dataclass: its annotated fields are its parameters, and part of every result's spec.

    Attributes:
        name: The file's name without ``.py``.
        family: ``attention``, ``gradient``, ``perturbation``, ``reference`` (a yardstick, shown but not ranked) or
            ``control`` (no explanation: attention put in place of the model's, for the causal suite alone).
        signed: Whether a negative score says "speaks against the target".
        negative: Whether scores of an unsigned method may be negative; they rank by value, and say nothing against the
            target.
        note: What must be said wherever its results are shown, such as that it is a reconstruction.
        bound: The end of the skill's scale that it gives: ``floor``, what chance has, or ``ceiling``, the best that a
            search found for the metric that is its parameter ``metric``. None for all but such references.
        variants: The parameters with which a run has it where none are given, each a row of its own.
        default: Whether it runs where no method is asked for by name: not where it has no answer for many texts, or
            where another one that does estimates the same.
        twin: Whether it is made of another method, which its parameters ``of`` and ``parameters_of`` name.
        serves: Types of models (``config.model_type``) that it has an answer for, where it needs the weights behind the
            attention; empty where it needs none. On others it is left out, with the reason.
        elsewhere: Whether its scores were made elsewhere and are only looked up: they have no cost, and no gate that
            asks for another answer can be tried.
        weakness: Why it is not expected to find planted evidence better than a random order does, a sentence; empty
            where it is expected to.
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    signed: ClassVar[bool]
    negative: ClassVar[bool] = False
    note: ClassVar[str] = ""
    bound: ClassVar[Bound | None] = None
    variants: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    default: ClassVar[bool] = True
    twin: ClassVar[bool] = False
    serves: ClassVar[Sequence[str]] = ()
    elsewhere: ClassVar[bool] = False
    weakness: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, kw_only=True)(cls)

    @abstractmethod
    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Score every token of every text.

        Args:
            classifier: The classifier whose output is explained.
            batch: The texts; `Classifier.target` gives the label to explain.

        Returns:
            ``[batch, tokens]``: higher says more important. What stands on special tokens and padding is not read.
        """

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """`attribute`, with whatever the method has to say about its answer."""
        return Attribution(self.attribute(classifier, batch))

    def require_served(self, classifier: Classifier) -> None:
        """Raise UnsupportedArchitectureError where the model's type is none of those that the method serves."""
        found = classifier.model.config.model_type
        if self.serves and found not in self.serves:
            raise UnsupportedArchitectureError(
                f"{self.name} needs the weights behind the attention, and knows them in the architectures "
                f"{', '.join(self.serves)}; {classifier.name} is {found!r}. Use another method, or one of these models."
            )

    def check(self, attribution: Attribution, batch: Batch) -> None:
        """Raise MethodError where the method has no answer for one of the examples."""
        for index, reason in attribution.failed.items():
            raise MethodError(f"{self.label()} has no answer for example {batch.ids[index]!r}: {reason}")

    @property
    def label_specific(self) -> bool:
        """Whether its scores are about the target, and would be others for another label."""
        return self.family != "reference"

    def parts(self) -> tuple[type, ...]:
        """The classes whose source files its numbers come from: its own, and those that it calls by their name."""
        return (type(self),)

    def source_digest(self) -> str:
        """The digest, for the spec, of what its numbers come from: of the source files of its `parts`."""
        return source_hash(*self.parts())

    def parameters(self) -> dict[str, Any]:
        """The parameters with their values."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def label(self) -> str:
        """Name for tables: with the parameters that differ from their defaults, if any."""
        changed = [
            f"{f.name}={getattr(self, f.name)}"
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if getattr(self, f.name) != f.default
        ]
        return f"{self.name}({', '.join(changed)})" if changed else self.name


class ReportingMethod(Method):
    """A method that writes `explain` and has `attribute` follow from it."""

    @abstractmethod
    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Score every token of every text, and report on the answer."""

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Score every token; see `Method.attribute`.

        Raises:
            MethodError: The method has no answer for one of the examples.
        """
        attribution = self.explain(classifier, batch)
        self.check(attribution, batch)
        return attribution.scores
