"""A causal language model, explained for what comes next: one token against another in the same place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from whybench.bench.batch import Batch
from whybench.bench.choices import CONTRAST
from whybench.bench.classifier import Classifier
from whybench.bench.encoding import Texts
from whybench.bench.errors import InputError, ModelError, UnsupportedArchitectureError
from whybench.bench.task import Example

# Of the probe that tells a causal model from one that looks ahead
PROBE_LENGTH = 4


class Contrast(NamedTuple):
    """What is explained about a text.

    Attributes:
        continuation: What follows it, a leading space included; one token in that place.
        foil: The token that it is explained against, the same way.
    """

    continuation: str
    foil: str


class NextTokenModel(Classifier):
    """A causal language model in eval mode, as a classifier of two labels: ``continuation`` and ``foil``.

    With z the model's logits for the token after the text's last one, the probability of the continuation is
    ``p(x) = exp z_c / (exp z_c + exp z_f)``: how the model divides what it gives to the two of them. The two logits are
    ``±(z_c − z_f)/2``, so that a gradient of the continuation's is the gradient of the difference, up to the factor ½.
    What speaks for both tokens alike (grammar, as a rule) cancels out. The target of a batch is the continuation.

    ::

        model = whybench.NextTokenModel.from_pretrained("openai-community/gpt2")
        batch = model.encode(["Can you stop the dog from"], contrasts=[(" barking", " crying")])
        scores = whybench.load_method("gradient_x_input").attribute(model, batch)  # [batch, tokens]

    Source: Yin & Neubig 2022, "Interpreting Language Models with Contrastive Explanations", arXiv:2202.10419.

    Attributes: those of `Classifier`.
    """

    _head: ClassVar[Any] = AutoModelForCausalLM
    _purpose: ClassVar[str] = "trained as a causal language model"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str = "model",
        revision: str | None = None,
    ) -> None:
        super().__init__(model, tokenizer, name=name, revision=revision)
        # tied to the embeddings, a head for words is there even in a classifier's checkpoint, whose body knows none
        for architecture in model.config.architectures or ():
            if architecture.endswith("Classification"):
                raise ModelError(f"{name} is a classifier ({architecture}). Give a checkpoint {self._purpose}.")
        if self._words_head is None:
            raise ModelError(f"{name} ({type(model).__name__}) has no head for words, so it predicts no next token.")
        self._check_causal()

    @torch.no_grad()
    def _check_causal(self) -> None:
        ids = torch.full((2, min(PROBE_LENGTH, self.max_length)), self._ordinary_id, device=self.device)
        ids[1, -1] = next(i for i in range(self._vocabulary) if i != self._ordinary_id)
        logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        change = float((logits[0, 0] - logits[1, 0]).abs().max())
        if change > torch.finfo(logits.dtype).eps ** 0.5 * float(logits.abs().max()):
            raise ModelError(
                f"{self.name} ({type(self.model).__name__}) looks ahead: what it says after the first token changes "
                f"with the last one. Give a checkpoint {self._purpose}."
            )

    def _labels(self) -> tuple[str, ...]:
        return CONTRAST

    # ---- texts ----

    def encode(
        self,
        texts: Texts,
        *,
        ids: Sequence[str] | None = None,
        contrasts: Sequence[tuple[str, str]] | None = None,
    ) -> Batch:
        """Tokenise texts as prompts: nothing after the last token, before the first only what the tokenizer adds.

        Args:
            texts: Texts.
            ids: A name per example; None takes a digest of its text.
            contrasts: Per text the continuation and the foil, as they follow it, with the space before a word. Each
                must be one token after this text.

        Raises:
            EmptyTextError: A text without a unit.
            InputError: Pairs, no contrasts, a text that is too long, or a continuation or foil that is not one token.
            ModelError: The tokenizer gives a token that the model has no embedding for.
        """
        if contrasts is None:
            raise InputError(
                f"{self.name} is explained for what comes next; give contrasts, for every text its continuation and "
                'foil, such as (" she", " he").'
            )
        batch = self._encoded(texts, ids)
        if len(contrasts) != len(batch):
            raise InputError(f"{len(contrasts)} contrasts were given for {len(batch)} texts; give one for each.")
        pairs = []
        for example, contrast in zip(batch.ids, contrasts, strict=True):
            if isinstance(contrast, str) or len(contrast) != 2 or not all(isinstance(part, str) for part in contrast):
                raise InputError(f"example {example!r} has the contrast {contrast!r}; give (continuation, foil).")
            pairs.append(Contrast(*contrast))
        chosen = []
        for example, found in zip(batch.ids, self._next_ids([row[0] for row in batch.texts], pairs), strict=True):
            if isinstance(found, str):
                raise InputError(f"example {example!r}: {found}")
            chosen.append(found)
        target = torch.zeros(len(batch), dtype=torch.long)
        return self._checked(dataclasses.replace(batch, target=target, contrast=torch.tensor(chosen)))

    def encode_examples(self, examples: Sequence[Example]) -> Batch:
        """`encode` of a task's examples, under their ids.

        Raises:
            InputError: As `encode`; or an example is a pair, or has no continuation or no foil.
        """
        contrasts = []
        for example in examples:
            if isinstance(contrast := _contrast_of(example), str):
                raise InputError(f"example {example.id!r}: {contrast}")
            contrasts.append(contrast)
        return self.encode([e.text for e in examples], ids=[e.id for e in examples], contrasts=contrasts)

    def unusable(self, examples: Sequence[Example]) -> dict[str, str]:
        """Examples that this model cannot be asked about, by id, and why: it hangs on the tokenizer's words.

        Those whose continuation or foil is not one token after the text, and those whose text is too long.
        """
        contrasts = {example: _contrast_of(example) for example in examples}
        reasons = {example.id: why for example, why in contrasts.items() if isinstance(why, str)}
        asked = {example: contrast for example, contrast in contrasts.items() if not isinstance(contrast, str)}
        found = self._next_ids([example.text for example in asked], list(asked.values()))
        return reasons | {example.id: why for example, why in zip(asked, found, strict=True) if isinstance(why, str)}

    def _encoded(self, texts: Texts, ids: Sequence[str] | None) -> Batch:
        batch = super()._encoded(texts, ids)
        if any(len(row) > 1 for row in batch.texts):
            raise InputError(f"{self.name} continues a text, and was given pairs; join the two texts of each.")
        return _without_last(batch, self._suffix, self.pad_id)

    @cached_property
    def _suffix(self) -> int:
        """How many special tokens the tokenizer puts behind a text; a prompt ends with its own last token."""
        segments = self.tokenizer("a").encodings[0].sequence_ids
        return next(count for count, segment in enumerate(reversed(segments)) if segment is not None)

    def _prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts, without what the tokenizer puts behind them."""
        rows = self.tokenizer(list(texts), verbose=False)["input_ids"] if texts else []
        return [row[: len(row) - self._suffix] for row in rows]

    def _next_ids(self, texts: Sequence[str], contrasts: Sequence[Contrast]) -> list[tuple[int, int] | str]:
        """Per text the ids of its continuation and its foil, or why there are none."""
        prompts = self._prompts(texts)
        longer = [
            self._prompts([text + contrast[place] for text, contrast in zip(texts, contrasts, strict=True)])
            for place in range(len(CONTRAST))
        ]
        return [
            self._next_of(text, contrast, prompt, after)
            for text, contrast, prompt, after in zip(texts, contrasts, prompts, zip(*longer, strict=True), strict=True)
        ]

    def _next_of(
        self, text: str, contrast: Contrast, prompt: list[int], longer: tuple[list[int], ...]
    ) -> tuple[int, int] | str:
        """Ids of the continuation and the foil after a text, from the ids of the text and of the text with either."""
        length = len(prompt)
        if length + self._suffix > self.max_length:
            return (
                f"its text has {length} tokens, and {self.name} reads {self.max_length - self._suffix}; what comes "
                "next hangs on the end of a text, so that none is cut. Take its beginning away."
            )
        for what, words, ids in zip(CONTRAST, contrast, longer, strict=True):
            if ids[:length] != prompt:
                return (
                    f"the tokenizer of {self.name} reads the text's end ({text[-8:]!r}) otherwise where the {what} "
                    f"{words!r} follows. Move what belongs together (a space, as a rule) from the end of the text to "
                    "the beginning of both continuation and foil."
                )
        first, second = (ids[length:] for ids in longer)
        if first == second:
            return f"continuation {contrast.continuation!r} and foil {contrast.foil!r} are the same tokens; give two."
        for what, words, tokens in zip(CONTRAST, contrast, (first, second), strict=True):
            if len(tokens) != 1:
                shared = [
                    one for one, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
                ]
                remedy = (
                    f"Move the beginning that both share ({self._written(shared)}) to the end of the text."
                    if shared
                    else "Give its first token alone, or another word."
                )
                return (
                    f"the {what} {words!r} is {len(tokens)} tokens of {self.name} ({self._written(tokens)}); it must "
                    f"be one. {remedy}"
                )
        return first[0], second[0]

    def _written(self, tokens: Sequence[int]) -> str:
        # in quotes, as all that is of the data: where texts are not to be published, quotes are cut
        return " ".join(map(repr, self.tokenizer.convert_ids_to_tokens(list(tokens)))) or "none"

    # ---- forward passes ----

    @property
    def _words_head(self) -> nn.Module:
        head: nn.Module = self.model.get_output_embeddings()  # type: ignore[no-untyped-call]
        return head

    def _forward(self, inputs: dict[str, Tensor], contrast: Tensor | None) -> Tensor:
        if contrast is None:
            raise InputError(
                f"{self.name} is explained for what comes next, and the batch has no continuation and foil; make it "
                f"with {type(self).__name__}.encode(texts, contrasts=…)."
            )
        last = last_real(inputs["attention_mask"])
        calls = 0

        def keep_last(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            nonlocal calls
            calls += 1
            hidden, *others = args
            index = last[:, None, None].expand(-1, 1, hidden.shape[-1])
            return hidden.gather(1, index), *others

        # Not transformers' logits_to_keep: it keeps the same positions of all rows, which end at different ones. What
        # the model does to its logits afterwards (a soft cap, a scale) is done to these.
        handle = self._words_head.register_forward_pre_hook(keep_last)
        try:
            logits: Tensor = self.model(**inputs).logits
        finally:
            handle.remove()
        if calls != 1 or logits.shape[:2] != (len(last), 1):
            raise UnsupportedArchitectureError(
                f"{type(self.model).__name__} gives logits of the shape {list(logits.shape)} where one position "
                f"of each of {len(last)} texts was kept: its head for words is not the layer that it names."
            )
        pair = logits[:, 0].gather(1, contrast)
        return pair - pair.mean(dim=1, keepdim=True)

    @cached_property
    def readout(self) -> str:
        """Which position the prediction is read at: ``"last"``, of the real tokens."""
        return "last"

    def readout_weights(self, batch: Batch) -> Tensor:
        """1.0 at every text's last real token, ``[batch, tokens]``."""
        weights = torch.zeros(batch.input_ids.shape, dtype=torch.float64, device=batch.device)
        return weights.scatter_(1, last_real(batch.attention_mask)[:, None], 1.0)


def last_real(attention_mask: Tensor) -> Tensor:
    """Index of the last token that is attended to, ``[batch]``, whatever its id: a text may end with the pad token."""
    places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    return (places * (attention_mask != 0)).argmax(dim=1)


def _contrast_of(example: Example) -> Contrast | str:
    """What an example asks about, or why it asks about nothing."""
    if example.text_pair is not None:
        return "it is a pair; a language model continues one text. Join the two."
    if not example.continuation or not example.foil:
        return f"it has the continuation {example.continuation!r} and the foil {example.foil!r}; give it both."
    return Contrast(example.continuation, example.foil)


def _without_last(batch: Batch, count: int, pad_id: int) -> Batch:
    """The batch without the last real tokens of every row, which are special ones."""
    if not count:
        return batch
    width = batch.input_ids.shape[1] - count
    gone = torch.arange(width) >= (batch.lengths() - count)[:, None]
    return dataclasses.replace(
        batch,
        input_ids=batch.input_ids[:, :width].masked_fill(gone, pad_id),
        attention_mask=batch.attention_mask[:, :width].masked_fill(gone, 0),
        token_type_ids=None if batch.token_type_ids is None else batch.token_type_ids[:, :width].masked_fill(gone, 0),
        units=batch.units[:, :width],
        tokens=tuple(row[:-count] for row in batch.tokens),
        token_spans=tuple(row[:-count] for row in batch.token_spans),
    )
