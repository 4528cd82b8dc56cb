"""BLiMP: pairs of sentences that are the same up to one word, of which only one is grammatical."""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import read_rows, text_of
from whybench.bench.task import Example, Task, TaskData

COLUMNS = {"good": ("sentence_good",), "bad": ("sentence_bad",), "usable": ("one_prefix_method",)}


class Blimp(Task):
    """Which word goes on: the grammatical one against the other (Benchmark of Linguistic Minimal Pairs).

    Of the 67 paradigms those are asked about in which two sentences share a beginning after which one word decides (the
    dataset's ``one_prefix_method``): the beginning is the text, the next word of the good sentence the continuation,
    and that of the bad one the foil. Rows of others are left out and counted. So is a row with a word that is not one
    token of the model's tokenizer: which these are differs between models, and so do the examples.

    A split here is a paradigm, which the Hub calls a configuration: ``--split determiner_noun_agreement_1``.
    """

    name = "blimp"
    summary = (
        "Minimal pairs of English grammar: the word that is grammatical after a beginning, against one that is not"
    )
    suite = "next_token"
    kind = "next_token"
    labels = ("continuation", "foil")
    dataset = "nyu-mll/blimp"
    dataset_revision = "877fba0801ffb7cbd8c39c1ff314a46f053f6036"
    default_model = "openai-community/gpt2"
    default_model_revision = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    licence = "CC BY 4.0"
    citation = "Warstadt et al. 2020, BLiMP: The Benchmark of Linguistic Minimal Pairs for English, arXiv:1912.00582"

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read one paradigm; by default the agreement of a reflexive pronoun's gender.

        Args:
            data: A local file, or a folder with one file per paradigm, as BLiMP's own repository has them.
            split: The paradigm.
        """
        paradigm = split or "anaphor_gender_agreement"
        rows = read_rows(self.dataset, self.dataset_revision, "train", COLUMNS, data, config=paradigm)
        examples = []
        for i, (good, bad, usable) in enumerate(zip(*(rows.columns[name] for name in COLUMNS), strict=True)):
            name = f"{rows.split}-{i}"
            first, second = text_of(good, name).split(), text_of(bad, name).split()
            shared = next((n for n, words in enumerate(zip(first, second, strict=False)) if words[0] != words[1]), 0)
            if not usable or not shared:
                continue
            words = [f" {sentence[shared].rstrip('.?!,')}" for sentence in (first, second)]
            text = " ".join(first[:shared])
            examples.append(Example(name, text, None, 0, continuation=words[0], foil=words[1]))
        return TaskData(examples, rows.split, rows.revision, left_out=len(rows.columns["good"]) - len(examples))
