"""Texts as a model reads them: token ids, and the units that can be removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from whybench.bench.choices import OperatorName, UnitKind
from whybench.bench.errors import ParameterError
from whybench.bench.task import Span

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Batch:
    """Encoded texts, padded on the right, whatever side the tokenizer pads on.

    Attributes:
        input_ids: Token ids, ``[batch, tokens]``, int64.
        attention_mask: 1 on real tokens and 0 on padding, ``[batch, tokens]``, int64.
        token_type_ids: Segment ids, ``[batch, tokens]``, or None for models that have none.
        units: Index of the unit that each token belongs to, ``[batch, tokens]``, int64; -1 on special tokens and
            padding, which can not be removed.
        texts: Per example ``(text,)`` or ``(text, text_pair)``.
        tokens: Per example the real tokens' strings.
        token_spans: Per example and real token its characters; None on special tokens.
        unit_spans: Per example and unit its characters.
        ids: Per example a name. Ties between scores are broken by a permutation seeded with it.
        truncated: Per example whether the text was longer than the model's limit.
        target: The label that is explained, ``[batch]``, int64; None: the model's own prediction.
        contrast: Token ids of the continuation and of the foil, ``[batch, 2]``, int64; None where labels are classes.
        operator: How units are removed when the scores are scored; None: it is not known yet.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None
    units: Tensor
    texts: tuple[tuple[str, ...], ...]
    tokens: tuple[tuple[str, ...], ...]
    token_spans: tuple[tuple[Span | None, ...], ...]
    unit_spans: tuple[tuple[Span, ...], ...]
    ids: tuple[str, ...]
    truncated: tuple[bool, ...]
    target: Tensor | None = None
    contrast: Tensor | None = None
    operator: OperatorName | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.input_ids.device

    def lengths(self) -> Tensor:
        """Number of real tokens, special ones included, ``[batch]``."""
        return self.attention_mask.sum(dim=1)

    def unit_counts(self) -> Tensor:
        """Number of units (``n`` in the protocol), ``[batch]``."""
        return self.units.amax(dim=1) + 1

    def unit_texts(self, index: int) -> tuple[str, ...]:
        """The units of one example, as they stand in its text."""
        texts = self.texts[index]
        return tuple(texts[span.segment][span.start : span.end] for span in self.unit_spans[index])

    def unit_scores(self, token_scores: Tensor) -> list[Tensor]:
        """Add the scores of each unit's tokens up.

        Args:
            token_scores: ``[batch, tokens]``.

        Returns:
            Per example a float64 tensor ``[units]`` on the CPU.
        """
        # One index past the last unit takes what belongs to no unit. On the CPU, where the order of additions is fixed.
        scores, units = token_scores.detach().cpu().double(), self.units.cpu()
        most = int(units.max()) + 1
        sums = torch.zeros(len(self), most + 1, dtype=torch.float64)
        sums.scatter_add_(1, torch.where(units >= 0, units, most), scores)
        return [row[:count] for row, count in zip(sums, self.unit_counts().tolist(), strict=True)]

    def select(self, indices: Sequence[int]) -> Batch:
        """The examples at these indices, in this order, padded no longer than they need."""
        rows = torch.as_tensor(list(indices), dtype=torch.long, device=self.device)
        width = int(self.lengths()[rows].max()) if len(rows) else 0

        def cut(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[rows, :width]

        def pick(items: tuple[Item, ...]) -> tuple[Item, ...]:
            return tuple(items[i] for i in indices)

        return Batch(
            input_ids=self.input_ids[rows, :width],
            attention_mask=self.attention_mask[rows, :width],
            token_type_ids=cut(self.token_type_ids),
            units=self.units[rows, :width],
            texts=pick(self.texts),
            tokens=pick(self.tokens),
            token_spans=pick(self.token_spans),
            unit_spans=pick(self.unit_spans),
            ids=pick(self.ids),
            truncated=pick(self.truncated),
            target=None if self.target is None else self.target[rows],
            contrast=None if self.contrast is None else self.contrast[rows],
            operator=self.operator,
        )

    def padded(self, tokens: int, pad_id: int) -> Batch:
        """The same examples with this many more tokens of padding in every row."""

        def wider(tensor: Tensor, value: int) -> Tensor:
            return torch.nn.functional.pad(tensor, (0, tokens), value=value)

        types = self.token_type_ids
        return dataclasses.replace(
            self,
            input_ids=wider(self.input_ids, pad_id),
            attention_mask=wider(self.attention_mask, 0),
            token_type_ids=None if types is None else wider(types, 0),
            units=wider(self.units, -1),
        )

    def with_target(self, target: Tensor) -> Batch:
        """The same examples, explained for the labels in ``target`` ``[batch]``."""
        return dataclasses.replace(self, target=target.to(self.device))

    def with_operator(self, operator: OperatorName) -> Batch:
        """The same examples, to be scored by this removal operator."""
        return dataclasses.replace(self, operator=operator)

    def with_units(self, unit: UnitKind) -> Batch:
        """The same examples with words (as encoded) or single tokens as the units.

        Raises:
            ParameterError: ``unit`` is neither.
        """
        if unit == "word":
            return self
        if unit != "token":
            raise ParameterError(f"unit is {unit!r}; it must be 'word' or 'token'.")
        real = self.units >= 0
        units = torch.where(real, real.cumsum(dim=1) - 1, -1)
        spans = tuple(tuple(span for span in row if span is not None) for row in self.token_spans)
        return dataclasses.replace(self, units=units, unit_spans=spans)
