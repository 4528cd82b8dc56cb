"""Train the checkpoint of a built-in task: ``python -m whybench.tasks.builtin.train TASK [--out DIR] [--seed N]``.

With ``--measure`` the checkpoint that is there is measured again, and its card gets the figures that it lacks.

A BERT-style classifier with a word-level tokenizer learns its task on one core in one or two minutes:

- A curriculum deletes plain words, almost all at first and then ever fewer. Without it xor_cues stays at chance.
- Then random words go, by every removal operator and at every strength, so that perturbed texts are no news to the
  model. Without that it is sure of a label (.48 from chance on average) even where the evidence is masked.
- Where words must be looked up, a second loss asks of each word whether it is evidence. Without it key_lookup gets no
  further than .62.
- Where what is left without the evidence looks like evidence, some examples lose just that. Without it
  aspect_sentiment is .06 from chance on average where nothing can be known.
- Labels are a little soft, so that probabilities do not saturate.

A next-token task has a Llama-style language model instead, see :mod:`whybench.tasks.builtin.decoder`.

The weights are written only if the figures of :mod:`whybench.tasks.builtin.checks` are all in their limits.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib
import inspect
import json
import math
import pkgutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import BertConfig, BertForSequenceClassification, LlamaForCausalLM, PreTrainedTokenizerFast

import whybench.tasks
from whybench.bench.errors import ModelError, UnknownNameError, WhybenchError
from whybench.tasks.builtin import checkpoint, decoder
from whybench.tasks.builtin.base import BuiltinTask, Recipe
from whybench.tasks.builtin.checks import Inputs, encode, failures, measure, operators_of, remove

SLACK = 1e-3
"""Most by which a figure may differ between machines."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def find(name: str) -> BuiltinTask:
    """The built-in task of that name.

    Raises:
        UnknownNameError: There is none.
    """
    known = []
    for module in pkgutil.iter_modules(whybench.tasks.__path__):
        if module.ispkg:
            continue
        for value in vars(importlib.import_module(f"whybench.tasks.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, BuiltinTask) and not inspect.isabstract(value):
                known.append(value.name)
                if value.name == name:
                    return value()
    raise UnknownNameError("built-in task", name, known)


def build_tokenizer(task: BuiltinTask) -> PreTrainedTokenizerFast:
    """A tokenizer with one token per word of the task, and BERT's or a language model's special tokens."""
    if task.kind == "next_token":
        return decoder.build_tokenizer(task)
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate((*SPECIAL, *task.vocabulary()))}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        model_max_length=task.recipe.length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{token.strip('[]').lower()}_token": token for token in SPECIAL},
    )


def build_model(task: BuiltinTask, size: int) -> Any:
    """A fresh classifier or language model of ``size`` tokens; its weights come from torch's global generator."""
    if task.kind == "next_token":
        return decoder.build_model(task, size)
    config = BertConfig(
        vocab_size=size,
        hidden_size=64,
        num_hidden_layers=task.recipe.layers,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=task.recipe.length,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        # Wider than BERT's .02, for harder tasks: xor_cues is learnt from either.
        initializer_range=0.05,
        pad_token_id=SPECIAL.index("[PAD]"),
        id2label=dict(enumerate(task.labels)),
        label2id={label: index for index, label in enumerate(task.labels)},
    )
    model = BertForSequenceClassification(config)
    with torch.no_grad():
        positions = model.bert.embeddings.position_embeddings.weight
        angles = torch.arange(len(positions))[:, None] / 10_000 ** (torch.arange(0, 64, 2) / 64)
        positions.copy_(0.05 * torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1))
    return model


def thin(tokenizer: PreTrainedTokenizerFast, batch: Inputs, progress: float, recipe: Recipe) -> Inputs:
    """Take words from a batch, as an explanation's test of it will.

    While the curriculum lasts, non-evidence is deleted at a falling rate. After it some examples stay whole, and of
    each other one a random share of the words goes, from none to all; in half of these the evidence is spared. Where
    the recipe says so, some examples lose all their evidence on top of that.

    Args:
        tokenizer: Names the mask and the padding token.
        batch: The examples.
        progress: Share of the training that is over.
        recipe: The curriculum's length, and the shares of untouched and of blind examples.
    """
    count, draws = len(batch.labels), torch.rand(batch.ids.shape)
    if progress < recipe.curriculum:
        rate = 1 - progress / recipe.curriculum
        return remove(tokenizer, batch, batch.units & ~batch.evidence & (draws < rate), "delete")
    rates = torch.rand(count, 1) * (torch.rand(count, 1) >= recipe.untouched)
    spared = batch.evidence & (torch.rand(count, 1) < 0.5)
    operators = operators_of(tokenizer)
    # "mask" as often as the others together, and where there is none the others alike
    operator = operators[int(torch.multinomial(torch.tensor([0.6, 0.2, 0.2][-len(operators) :]), 1))]
    gone = batch.units & ~spared & (draws < rates)
    if recipe.blind:
        gone |= batch.evidence & (torch.rand(count, 1) < recipe.blind)
    return remove(tokenizer, batch, gone, operator)


@contextmanager
def one_core(seed: int) -> Iterator[None]:
    """Seed torch and keep it to one thread, so that sums have one order; both are put back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def train(task: BuiltinTask, seed: int) -> tuple[Any, PreTrainedTokenizerFast]:
    """Train a task's classifier on its ``train`` split, on one core; torch's state is left as it was.

    Args:
        task: The task, with its recipe.
        seed: Seeds the weights, the order of the examples and the removals.

    Returns:
        The model in eval mode, and its tokenizer.
    """
    tokenizer = build_tokenizer(task)
    data = encode(tokenizer, task.generate("train"))
    with one_core(seed):
        model: Any = build_model(task, len(tokenizer))
        fit(model, tokenizer, data, task.recipe)
    return model.eval(), tokenizer


class LabelLoss(torch.nn.Module):
    """Cross-entropy of the label, and the second loss where the recipe has one."""

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> None:
        super().__init__()
        self.recipe, self.mask_id = recipe, tokenizer.mask_token_id
        self.finder = torch.nn.Linear(model.config.hidden_size, 1) if recipe.auxiliary else None

    def forward(self, model: Any, batch: Inputs) -> Tensor:
        """The loss of a thinned batch."""
        output = model(**batch.arguments, output_hidden_states=self.finder is not None)
        loss: Tensor = cross_entropy(output.logits, batch.labels, label_smoothing=self.recipe.smoothing)
        if self.finder is not None:
            # the last layer's input: its heads can then go where the evidence is
            found = self.finder(output.hidden_states[-2])[..., 0]
            words = (batch.units & (batch.attention == 1) & (batch.ids != self.mask_id))[:, : found.shape[1]]
            evidence = batch.evidence[:, : found.shape[1]].float()
            loss = loss + self.recipe.auxiliary * binary_cross_entropy_with_logits(found[words], evidence[words])
        return loss


def fit(model: Any, tokenizer: PreTrainedTokenizerFast, data: Inputs, recipe: Recipe) -> None:
    """Go through a recipe's steps; examples and removals are drawn from torch's global generator."""
    objective = decoder.NextTokenLoss(model, data, recipe) if data.next_token else LabelLoss(model, tokenizer, recipe)
    parameters = [*model.parameters(), *objective.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=0.01)

    def rate(step: int) -> float:
        done = step / recipe.steps
        return min((step + 1) / (recipe.warm_up * recipe.steps), (1 + math.cos(math.pi * done)) / 2)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    model.train()
    for step in range(recipe.steps):
        batch = data.rows(torch.randint(len(data.labels), (recipe.batch,)))
        batch = thin(tokenizer, batch, step / recipe.steps, recipe)
        loss: Tensor = objective(model, batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1} of {recipe.steps}: loss {loss.item():.4f}", file=sys.stderr, flush=True)


def digest(file: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write(task: BuiltinTask, model: Any, tokenizer: PreTrainedTokenizerFast, seed: int, folder: Path) -> dict[str, Any]:
    """Measure a checkpoint and write it with its ``card.json``.

    Returns:
        The card.

    Raises:
        ModelError: A figure is outside its limits; nothing is written.
    """
    with one_core(seed):
        figures = measure(task, model, tokenizer)
    if missed := failures(task, figures):
        raise ModelError(f"the checkpoint of {task.name!r} from seed {seed} is not written: " + "; ".join(missed))
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    # how to sample from a language model, which nobody does here
    (folder / "generation_config.json").unlink(missing_ok=True)
    # safetensors writes for the owner alone; an installed package is read by others too.
    (folder / "model.safetensors").chmod(0o644)
    # Encoding with padding is remembered by the tokenizer, and would be saved with it.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    card = {
        "task": task.name,
        "seed": seed,
        "recipe": dataclasses.asdict(task.recipe),
        "data": {split: task.load(split=split).revision for split in task.sizes},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "versions": {module.__name__: module.__version__ for module in (torch, transformers, tokenizers)},
        "sha256": digest(folder / "model.safetensors"),
        "figures": figures,
    }
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def measure_again(task: BuiltinTask, folder: Path) -> dict[str, Any]:
    """Measure a checkpoint that is there, and add to its card the figures that it lacks; the weights stay as they are.

    Returns:
        The card.

    Raises:
        ModelError: Weights or data are not the card's, a figure comes out other than the card has it, by more than
            rounding on another machine, or is outside its limits; the card stays as it was.
    """
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    data = {split: task.load(split=split).revision for split in task.sizes}
    for what, found, wanted in (
        ("weights", digest(folder / "model.safetensors"), card["sha256"]),
        ("data", data, card["data"]),
    ):
        if found != wanted:
            raise ModelError(f"the {what} of {task.name!r} are {found}, and its card says {wanted}; train it anew.")
    # in eval mode, as everything that is loaded so
    architecture = LlamaForCausalLM if task.kind == "next_token" else BertForSequenceClassification
    model = architecture.from_pretrained(folder)
    with one_core(card["seed"]):
        figures = measure(task, model, PreTrainedTokenizerFast.from_pretrained(folder))
    wrong = failures(task, figures)
    for name, before in card["figures"].items():
        if name in figures and not abs(figures[name] - before) <= SLACK:
            wrong.append(f"{name} = {figures[name]} was {before}")
    if wrong:
        raise ModelError(f"the card of {task.name!r} is left as it is: " + "; ".join(wrong))
    card["figures"] = {name: card["figures"].get(name, value) for name, value in figures.items()}
    (folder / "card.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure and write a task's checkpoint, or measure it again; 1 where a figure is wrong, 2 on wrong use."""
    parser = argparse.ArgumentParser(prog="python -m whybench.tasks.builtin.train", description=main.__doc__)
    parser.add_argument("task", help="name of a built-in task")
    parser.add_argument("--out", type=Path, help="folder to write (default: where the task looks for its checkpoint)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true", help="train nothing: add to the card what it lacks")
    options = parser.parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    started = time.perf_counter()
    try:
        task = find(options.task)
        folder = options.out or Path(checkpoint(task.name))
        if options.measure:
            card = measure_again(task, folder)
        else:
            model, tokenizer = train(task, options.seed)
            card = write(task, model, tokenizer, options.seed, folder)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 1
    except WhybenchError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(card, indent=2))
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
