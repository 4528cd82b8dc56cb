"""The language model of a next-token task: Llama-style, with a word-level tokenizer.

It learns to say what comes after the text, on one core in some minutes:

- The same curriculum and the same removals as for classifiers (:mod:`whybench.tasks.builtin.train`), but by ``delete``
  and ``pad`` alone, as its tokenizer has no mask token.
- Where evidence is gone, the answer to be given is every word that can be one, to the same degree. Without that the
  model leans to words that are still there.
- A second loss asks of every word which one stood before it, from what leaves the first layer: half of what it takes
  to find out what followed the last word when it was there before (Olsson et al. 2022, arXiv:2209.11895).
- Answers are a little soft: some of their probability is spread over all words that can be one.
"""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from whybench.tasks.builtin.base import BuiltinTask, Recipe
from whybench.tasks.builtin.checks import Inputs

SPECIAL = ("<pad>", "<unk>", "<s>")


def build_tokenizer(task: BuiltinTask) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per word of the task, that begins every text with ``<s>``."""
    vocabulary = {word: i for i, word in enumerate((*SPECIAL, *task.vocabulary()))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=task.recipe.length,
        model_input_names=["input_ids", "attention_mask"],
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
    )


def build_model(task: BuiltinTask, size: int) -> LlamaForCausalLM:
    """A fresh language model with ``size`` tokens; its weights come from torch's global generator."""
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=64,
        num_hidden_layers=task.recipe.layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        intermediate_size=128,
        max_position_embeddings=task.recipe.length,
        # Wider than Llama's .02, as with so few dimensions attention would stay flat for long.
        initializer_range=0.05,
        tie_word_embeddings=True,
        use_cache=False,
        pad_token_id=SPECIAL.index("<pad>"),
        bos_token_id=SPECIAL.index("<s>"),
        eos_token_id=None,
    )
    return LlamaForCausalLM(config)


class NextTokenLoss(torch.nn.Module):
    """Cross-entropy of the word after the text, and of the word before each one where the recipe says so."""

    def __init__(self, model: Any, data: Inputs, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        size = model.config.vocab_size
        answers = torch.zeros(size).index_fill(0, torch.unique(data.contrast), 1.0)
        self.any_answer = answers / answers.sum()
        self.before = torch.nn.Linear(model.config.hidden_size, size) if recipe.auxiliary else None

    def forward(self, model: Any, batch: Inputs) -> Tensor:
        """The loss of a thinned batch."""
        output = model(**batch.arguments, output_hidden_states=self.before is not None)
        there = batch.attention == 1
        whole = (batch.evidence & ~there).sum(1, keepdim=True) == 0
        answer = torch.zeros(len(whole), len(self.any_answer)).scatter_(1, batch.contrast[:, :1], 1.0)
        soft = torch.where(whole, self.recipe.smoothing, 1.0)
        wanted = (1 - soft) * answer + soft * self.any_answer
        loss: Tensor = cross_entropy(batch.at_end(output.logits), wanted)
        if self.before is not None:
            asked = self.before(output.hidden_states[1][:, 1:])
            width = asked.shape[1] + 1
            both = (there[:, 1:] & there[:, :-1])[:, : width - 1]
            loss = loss + self.recipe.auxiliary * cross_entropy(asked[both], batch.ids[:, : width - 1][both])
        return loss
