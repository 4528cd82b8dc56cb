"""One Hugging Face sequence classifier, and everything that a method or the engine may ask of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from whybench.bench.attention import AttentionRecord, Replacement, attention_pass, by_layer, record_of, watching
from whybench.bench.batch import Batch
from whybench.bench.checkpoint import load_checkpoint
from whybench.bench.encoding import Texts, encode
from whybench.bench.errors import InputError, LabelError, ModelError, ParameterError, UnsupportedArchitectureError
from whybench.bench.labels import labels_of
from whybench.bench.positions import position_ids, position_offset, positions_of
from whybench.bench.task import Example

READOUT_LENGTH = 5
NO_GRADIENT = "Use a method that needs no gradient (occlusion)."


class Classifier:
    """A sequence classifier in eval mode: texts to batches, batches to probabilities, gradients and attention.

    Attributes:
        model: The transformers model.
        tokenizer: Its tokenizer.
        name: Hub id, or the folder's name.
        revision: Commit of a Hub model; None for a folder.
        labels: The labels' names, in the order of the label indices.
        max_length: Longest input in tokens, special tokens included.
        positions: How tokens get their positions, and whether they keep them where others are padded out.
    """

    # what loads a checkpoint, and what it must have been trained as
    _head: ClassVar[Any] = AutoModelForSequenceClassification
    _purpose: ClassVar[str] = "fine-tuned for sequence classification"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        name: str = "model",
        revision: str | None = None,
    ) -> None:
        self.model: PreTrainedModel = model.eval()  # type: ignore[no-untyped-call]
        self.tokenizer = tokenizer
        self.name, self.revision = name, revision
        if model.config.pad_token_id != self.pad_id:
            # decoders find the last real token by the pad id, and refuse batches without one; -1 would be no token
            model.config.pad_token_id = self.pad_id
        self.labels = self._labels()
        self.max_length = self._max_length()
        self.positions = positions_of(model, self._ordinary_id)

    @classmethod
    def from_pretrained(
        cls,
        path_or_id: str | Path,
        *,
        revision: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Load a checkpoint: safetensors only, and no code from its repository is run.

        Args:
            path_or_id: A folder, or the id of a Hub model.
            revision: Commit, tag or branch of a Hub model.
            device: Where to put it; None takes the GPU where there is one.
            dtype: Precision of the weights. The protocol scores in float32.

        Raises:
            ModelError: It cannot be loaded, or it has no trained head for its purpose.
            ParameterError: There is no such device here.
        """
        model, tokenizer, name, commit = load_checkpoint(
            path_or_id, head=cls._head, purpose=cls._purpose, revision=revision, device=device, dtype=dtype
        )
        return cls(model, tokenizer, name=name, revision=commit)

    # ---- what it is ----

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.model.dtype

    @property
    def pad_id(self) -> int:
        """Token id that fills short rows; the end-of-text token where neither model nor tokenizer has a pad token.

        The model's own comes first: a decoder reads the last token that is another one, whatever the tokenizer says.
        """
        for token_id in (self.model.config.pad_token_id, self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if isinstance(token_id, int) and 0 <= token_id < self._vocabulary:
                return token_id
        # no such token anywhere: what fills a row is behind the attention mask, so any id serves
        return 0

    @property
    def _vocabulary(self) -> int:
        """Number of token ids that the model has an embedding for."""
        return len(self.model.get_input_embeddings().weight)  # type: ignore[arg-type]

    @property
    def attention_implementation(self) -> str:
        """Name of the attention function that plain forward passes use."""
        return str(self.model.config._attn_implementation)

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of all weights and their names, the same in every file format and on every device."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def _labels(self) -> tuple[str, ...]:
        return labels_of(self.model.config, self.name)

    def _max_length(self) -> int:
        limits = [int(self.tokenizer.model_max_length)] if self.tokenizer.model_max_length < 10**9 else []
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if isinstance(positions, int):
            limits.append(positions - position_offset(self.model))
        return min(limits, default=512)

    # ---- texts ----

    def encode(self, texts: Texts, *, ids: Sequence[str] | None = None) -> Batch:
        """Tokenise texts or pairs of texts.

        A text that is longer than the model's limit is cut and marked in ``Batch.truncated``.

        Args:
            texts: Texts, or pairs ``(text, text_pair)``.
            ids: A name per example; None takes a digest of its text.

        Raises:
            EmptyTextError: A text without a unit.
            InputError: Neither texts nor pairs.
            ModelError: The tokenizer gives a token that the model has no embedding for.
        """
        return self._checked(self._encoded(texts, ids))

    def encode_examples(self, examples: Sequence[Example]) -> Batch:
        """`encode` of a task's examples, under their ids.

        Raises:
            ParameterError: Some are pairs and some are not.
        """
        pairs = [(e.text, e.text_pair) for e in examples if e.text_pair is not None]
        if pairs and len(pairs) != len(examples):
            raise ParameterError(f"{len(pairs)} of {len(examples)} examples are pairs; a task has only pairs, or none.")
        return self.encode(pairs or [e.text for e in examples], ids=[e.id for e in examples])

    def unusable(self, examples: Sequence[Example]) -> dict[str, str]:
        """Examples that this model cannot be asked about, and why: a classifier can be asked about every text."""
        return {}

    def _encoded(self, texts: Texts, ids: Sequence[str] | None) -> Batch:
        segments = "token_type_ids" in self.tokenizer.model_input_names
        return encode(self.tokenizer, texts, ids, max_length=self.max_length, pad_id=self.pad_id, segments=segments)

    def _checked(self, batch: Batch) -> Batch:
        """The batch where the model is; ModelError for a token that it has no embedding for."""
        largest = int(batch.input_ids.max())
        if largest >= self._vocabulary:
            raise ModelError(
                f"the tokenizer gives the token {self.tokenizer.convert_ids_to_tokens(largest)!r} the id {largest}; "
                f"{self.name} has embeddings for {self._vocabulary}. Load the tokenizer that it was trained with."
            )
        return self.to_device(batch)

    def to_device(self, batch: Batch) -> Batch:
        """The batch with its tensors where the model is."""
        tensors: dict[str, Any] = {
            field.name: value.to(self.device)
            for field in dataclasses.fields(batch)
            if isinstance(value := getattr(batch, field.name), Tensor)
        }
        return dataclasses.replace(batch, **tensors)

    # ---- forward passes ----

    def logits_from_ids(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        contrast: Tensor | None = None,
    ) -> Tensor:
        """Logits ``[batch, labels]`` from ids, mask and segments ``[batch, tokens]``, padded on the right.

        ``contrast`` ``[batch, 2]`` is for models that are explained for the next token (`Batch.contrast`).
        """
        inputs: dict[str, Tensor] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if self.positions.first is not None:
            # These models count positions by the pad id or the mask, so that a token replaced by padding would move all
            # that follow. The protocol's `pad` operator leaves positions where they are.
            inputs["position_ids"] = position_ids(input_ids, self.positions.first)
        return self._forward(inputs, contrast)

    def _forward(self, inputs: dict[str, Tensor], contrast: Tensor | None) -> Tensor:
        if contrast is not None:
            raise InputError(
                f"{self.name} is a classifier, and was given a batch with a continuation and a foil; encode the texts "
                "with the model that is to explain them."
            )
        logits: Tensor = self.model(**inputs).logits
        return logits

    def logits(self, batch: Batch) -> Tensor:
        """Logits ``[batch, labels]``, with gradients where they are on."""
        return self.logits_from_ids(batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.contrast)

    @torch.no_grad()
    def probabilities(self, batch: Batch) -> Tensor:
        """Softmax probabilities ``[batch, labels]``, float32, without gradients."""
        return self.logits(batch).float().softmax(dim=-1)

    def target(self, batch: Batch, logits: Tensor | None = None) -> Tensor:
        """The label to explain, ``[batch]``: the batch's own target, or else the argmax of the logits.

        Raises:
            LabelError: The batch's own target is not one label of the model per example.
        """
        if batch.target is not None:
            if batch.target.shape != (len(batch),):
                raise LabelError(f"target has shape {list(batch.target.shape)}; give {len(batch)} labels.")
            if strange := set(batch.target.tolist()) - set(range(len(self.labels))):
                raise LabelError(f"target has the labels {strange}; {self.name} has 0 to {len(self.labels) - 1}.")
            return batch.target
        if logits is None:
            with torch.no_grad():
                logits = self.logits(batch)
        return logits.argmax(dim=-1)

    # ---- embeddings ----

    @property
    def embedding_layer(self) -> nn.Module:
        """The layer that maps token ids to word embeddings, before positions are added.

        Raises:
            UnsupportedArchitectureError: An encoder and a decoder embed the text, each on its own.
        """
        if self.model.config.is_encoder_decoder:
            raise UnsupportedArchitectureError(
                f"{type(self.model).__name__} has an encoder and a decoder, which embed the text twice; neither one's "
                f"gradient is the text's. {NO_GRADIENT}"
            )
        layer: nn.Module = self.model.get_input_embeddings()
        return layer

    def embeddings(self, batch: Batch) -> Tensor:
        """Word embeddings ``[batch, tokens, hidden]``, before positions are added, detached."""
        with torch.no_grad():
            embeddings: Tensor = self.embedding_layer(batch.input_ids)
        return embeddings

    def logits_from_embeddings(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """Logits ``[batch, labels]`` with the word embeddings ``[batch, tokens, hidden]`` in place of the batch's own.

        The ids still give segments, positions and the last real token: transformers' ``inputs_embeds`` would lose the
        last one in decoders.

        Raises:
            UnsupportedArchitectureError: The model does not run its word embeddings' layer, or runs on without it.
        """
        calls = iter([embeddings])
        # the first call is the words'; GPT-2 embeds segments with the same layer
        handle = self.embedding_layer.register_forward_hook(lambda _, __, output: next(calls, output))
        try:
            logits = self.logits(batch)
        finally:
            handle.remove()
        if next(calls, None) is not None or (
            torch.is_grad_enabled() and embeddings.requires_grad > logits.requires_grad
        ):
            raise self._embeddings_unused()
        return logits

    def _embeddings_unused(self) -> UnsupportedArchitectureError:
        return UnsupportedArchitectureError(
            f"the logits of {type(self.model).__name__} do not depend on what its layer of word embeddings "
            f"({type(self.embedding_layer).__name__}) returns, so they have no gradient there. {NO_GRADIENT}"
        )

    def embedding_gradient(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Word embeddings and the gradient of the target's logit, both ``[batch, tokens, hidden]``.

        One forward and one backward pass; the weights gather no gradient.

        Raises:
            UnsupportedArchitectureError: The gradient does not reach the word embeddings.
        """
        with self.gradients_for_inputs_only():
            embeddings = self.embeddings(batch).requires_grad_()
            logits = self.logits_from_embeddings(embeddings, batch)
            explained = logits.gather(1, self.target(batch, logits)[:, None]).sum()
            (gradient,) = torch.autograd.grad(explained, embeddings, allow_unused=True)
        if gradient is None:
            raise self._embeddings_unused()
        return embeddings.detach(), gradient

    # ---- attention ----

    def attention(self, batch: Batch) -> AttentionRecord:
        """Attention weights and values of every layer and head, with gradients where they are on.

        Raises:
            UnsupportedArchitectureError: The architecture does not use transformers' AttentionInterface.
        """
        with attention_pass(self.model) as running:
            self.logits(batch)
        return record_of(running)

    def attention_gradient(self, batch: Batch) -> tuple[AttentionRecord, tuple[Tensor, ...]]:
        """The attention, and per layer the gradient of the target's logit for its weights, both without a graph.

        One forward and one backward pass, through later layers' attention too; the parameters gather no gradient.

        Raises:
            UnsupportedArchitectureError: The architecture does not use transformers' AttentionInterface.
        """
        seen: list[Tensor] = []
        with self.gradients_for_inputs_only(), attention_pass(self.model, watching(seen)) as running:
            logits = self.logits(batch)
            explained = logits.gather(1, self.target(batch, logits)[:, None]).sum()
            gradients = torch.autograd.grad(explained, seen)
        return record_of(running).detached(), gradients

    def replace_attention(self, batch: Batch, matrices: Sequence[Tensor | None] | Replacement) -> Tensor:
        """Logits ``[batch, labels]`` of a forward pass with other attention weights.

        Args:
            batch: The input.
            matrices: Per layer the weights ``[batch, heads, queries, keys]``, or None to leave the layer as it is; or
                a function of the layer's index, its weights and its values that returns them.

        Raises:
            ParameterError: Matrices for more or fewer layers than the model has, or of another shape.
            UnsupportedArchitectureError: The architecture does not use transformers' AttentionInterface.
        """
        replacement: Replacement = matrices if callable(matrices) else by_layer(matrices)
        with attention_pass(self.model, replacement) as running:
            logits = self.logits(batch)
        if not callable(matrices) and len(matrices) != len(running.weights):
            raise ParameterError(
                f"{len(matrices)} attention matrices were given; {self.name} has {len(running.weights)} layers."
            )
        return logits

    @cached_property
    def readout(self) -> str:
        """Which positions the classification head reads: ``"first"``, ``"last"`` (real token) or ``"mean"``.

        Found by asking the model: the gradient of its logits with respect to the last hidden state.
        """
        kept: list[Tensor] = []

        def keep(_: nn.Module, __: Any, output: Any) -> None:
            kept.append(output[0])

        length = min(READOUT_LENGTH, self.max_length)
        ids = torch.full((1, length), self._ordinary_id, device=self.device)
        # through the embeddings, so that it works for a model whose weights are frozen
        handles = [
            self.embedding_layer.register_forward_hook(lambda _, __, output: output.detach().requires_grad_()),
            self.model.base_model.register_forward_hook(keep),
        ]
        try:
            with self.gradients_for_inputs_only():
                logits = self.logits_from_ids(ids, torch.ones_like(ids))
                weights = torch.linspace(1, 2, logits.shape[1], device=self.device, dtype=logits.dtype)
                (gradient,) = torch.autograd.grad((logits * weights).sum(), kept[0])
        finally:
            for handle in handles:
                handle.remove()
        read = gradient[0].abs().sum(dim=-1) > 0
        if read.all():
            return "mean"
        if int(read.sum()) == 1 and (read[0] or read[-1]):
            return "first" if read[0] else "last"
        raise ModelError(f"{self.name}'s head reads positions {read.tolist()}; only first, last or all are understood.")

    @property
    def _ordinary_id(self) -> int:
        special = set(self.tokenizer.all_special_ids) | {self.pad_id}
        return next((i for i in range(self._vocabulary) if i not in special), 0)

    def readout_weights(self, batch: Batch) -> Tensor:
        """How the head weights the positions that it reads, ``[batch, tokens]``, rows sum to 1."""
        mask = batch.attention_mask.to(torch.float64)
        if self.readout == "mean":
            return mask / mask.sum(dim=1, keepdim=True)
        weights = torch.zeros_like(mask)
        at = torch.zeros_like(batch.lengths())
        if self.readout == "last":
            # as transformers' decoders find it, also where the text itself ends with the token that pads
            places = torch.arange(mask.shape[1], device=mask.device)
            at = (places * (batch.input_ids != self.model.config.get_text_config().pad_token_id)).argmax(dim=1)
        return weights.scatter_(1, at[:, None], 1.0)

    @contextmanager
    def gradients_for_inputs_only(self) -> Iterator[None]:
        """Gradients on, but not for the weights: methods need the input's, and the weights' would cost memory."""
        before = [parameter.requires_grad for parameter in self.model.parameters()]
        try:
            self.model.requires_grad_(False)
            with torch.enable_grad():
                yield
        finally:
            for parameter, flag in zip(self.model.parameters(), before, strict=True):
                parameter.requires_grad_(flag)
