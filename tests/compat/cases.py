"""What ferret and whybench are compared on: sentences, checkpoints and token scores, the same in both environments."""

import json
import random
import shutil
from pathlib import Path

from whybench import load_task
from whybench.tasks.builtin import checkpoint

FOLDER = Path(__file__).parent
SHIPPED = FOLDER / "ferret_shipped.json"
SST2 = FOLDER / "ferret_sst2.json"

WORDS = ("majority", "aspect_sentiment")
PIECES = "majority in pieces"
GENERATED = 12
# every 14th sentence of the validation split
SST2_ROWS = tuple(range(0, 840, 14))

# Written for this file. They bring what changes when a text is written and read again: words of several pieces, signs
# next to words, abbreviations; and what ferret's rules turn on: one token, fewer than ten, repeated ones, too many.
SENTENCES = (
    "bad",
    "good!",
    "not good",
    "a lovely film",
    "the cast was fine, the plot was not.",
    "It's a mess: dull, loud and overlong.",
    "I don't think that you'll like it.",
    "unbelievably good acting",
    "never boring, never cheap - a great little story",
    "very very very good",
    "so-so at best",
    "(a well-meant bore)",
    "The jokes are tired; the timing is worse.",
    "Is it funny? Hardly.",
    "the ending is rushed and the villain is wasted",
    "a warm, wise and witty tale of two sisters",
    "unwatchable",
    "the film's heart is in the right place",
    'they call it "art", and it is awful',
    "an uneven but likeable debut",
    "great songs, poor singing",
    "what a waste of a wonderful cast!",
    "slow, slower, slowest",
    "there's nothing here that hasn't been done better",
    "no one will be bored by this one",
    "dreadful dialogue; lovely pictures",
    "it works",
    "a film that is neither good nor bad, only long",
    "I laughed, I cried, I left.",
    "careless editing undoes a careful script",
    "the dog is the best actor in it",
    "awful awful awful, and yet ...",
    "a fine start, a poor middle, a dreadful end",
    "not as bad as they say",
    "rewatchable and endlessly quotable",
    "it was [MASK] good",
    "the 3rd act drags on for 40 minutes",
    "poor",
    "we're not in for a treat, are we?",
    "great " * 70,
)


def sentences(name):
    """Texts for a shipped checkpoint: those of its task, and those written for it."""
    if name == PIECES:
        return list(SENTENCES)
    return [example.text for example in load_task(name).load().examples[:GENERATED]]


def folder_of(name, into):
    """Folder of a shipped checkpoint; the one in pieces is written into another folder."""
    if name != PIECES:
        return Path(checkpoint(name))
    folder = Path(into) / "pieces"
    if not folder.exists():
        shutil.copytree(checkpoint("majority"), folder)
        tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        tokenizer |= {
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": True,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        }
        tokenizer["model"] = {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": _pieces(tokenizer["model"]["vocab"]),
        }
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    return folder


def _pieces(vocabulary):
    """Another string for every id above those that decide the label: letters, word endings, signs and short words."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [*letters, *(f"##{letter}" for letter in letters), *".,!?'-:;()\"#", *"0123456789"]
    names += ["un", "re", "##ing", "##ed", "##er", "##est", "##ly", "##able", "##less", "##ful", "##ness", "##believ"]
    names += ["the", "film", "was", "and", "not", "never", "it", "is", "that", "you", "like", "very", "so", "slow"]
    kept = 13
    order = sorted(vocabulary, key=vocabulary.get)
    assert len(order) >= kept + len(names)
    return {word: i for i, word in enumerate([*order[:kept], *names, *order[kept + len(names) :]])}


RULES = {
    "random": lambda draw: draw.uniform(-1, 1),
    "positive": lambda draw: draw.random(),
    "negative": lambda draw: -draw.random(),
    "tied": lambda draw: float(draw.randint(-2, 2)),
    "constant": lambda draw: 1.0,
    "zero": lambda draw: 0.0,
}


def made_up(key, length):
    """Token scores by rule: the same everywhere for the same key."""
    return {kind: _draws(random.Random(f"{kind} {key}"), rule, length) for kind, rule in RULES.items()}


def _draws(draw, rule, length):
    return [float(f"{rule(draw):.6g}") for _ in range(length)]
