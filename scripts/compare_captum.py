"""KernelSHAP, LIME and gradients against Captum's, and sampled Shapley values against exact ones.

    python scripts/compare_captum.py speed MODEL SST2_FOLDER [--sentences 12] [--samples 256]
    python scripts/compare_captum.py accuracy [--task key_lookup] [--texts 12] [--most 14]
    python scripts/compare_captum.py gradients MODEL SST2_FOLDER [--sentences 16] [--turns 3]

One thread. The sides of a comparison take turns, text by text, so that a busy machine slows all of them down.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import captum.attr
import numpy as np
import torch
from scipy.stats import spearmanr

from whybench import Batch, Classifier, gradient_maps, load_method, load_task
from whybench.bench.cell import buckets
from whybench.methods import kernel_shap, lime
from whybench.tasks.builtin import checkpoint


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def captums(kind: type, classifier: Classifier, batch: Batch, samples: int, at_once: int) -> object:
    """Captum's explanation of one text, words being its features; special tokens, which stay, are one more."""
    units = batch.units
    ids = torch.where(units >= 0, classifier.tokenizer.mask_token_id, batch.input_ids)

    def forward(rows: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return classifier.logits_from_ids(
                rows, batch.attention_mask.expand_as(rows), torch.zeros_like(rows), None
            ).softmax(-1)

    return kind(forward).attribute(
        batch.input_ids,
        baselines=ids,
        target=int(classifier.target(batch)),
        feature_mask=torch.where(units >= 0, units, units.max() + 1),
        n_samples=samples,
        perturbations_per_eval=at_once,
    )


def solver_seconds(name: str, batch: Batch, samples: int) -> float:
    """How long the least squares of one text take, with answers made up."""
    method = load_method(name, samples=samples)
    units = int(batch.unit_counts()[0])
    chance = np.random.default_rng(0)
    if isinstance(method, lime.Lime):
        sets = method._coalitions(units, batch.ids[0])
        answers = chance.random(len(sets))
        return seconds(lambda: lime.ridge_values(sets, answers, lime.proximity(sets, method.width), method.ridge))
    assert isinstance(method, kernel_shap.KernelShap)
    sets, weights = method._coalitions(units, batch.ids[0])
    answers = chance.random(len(sets))
    return seconds(lambda: kernel_shap.kernel_values(sets, answers, 0.9, 0.4, weights))


def speed(model: Path, data: Path, sentences: int, samples: int) -> None:
    """Print seconds for one text and the ratios to Captum with one perturbation at a time, its default."""
    classifier = Classifier.from_pretrained(str(model), device="cpu")
    examples = load_task("sst2").load(data).examples[:sentences]
    whole = classifier.encode([example.text for example in examples], ids=[example.id for example in examples])
    print(
        f"{sentences} sentences of {whole.unit_counts().min()} to {whole.unit_counts().max()} words, {samples} samples"
    )
    print("| method | Captum, 1 at once | 16 at once | 256 at once | whybench, one text | solver's share |")
    print("|---|---|---|---|---|---|")
    for name, kind in (("kernel_shap", captum.attr.KernelShap), ("lime", captum.attr.Lime)):
        method = load_method(name, samples=samples)
        sides: list[list[float]] = []
        for index in range(len(whole)):
            batch = whole.select([index])
            timed = [seconds(partial(captums, kind, classifier, batch, samples, at_once)) for at_once in (1, 16, 256)]
            own = seconds(partial(method.attribute, classifier, batch))
            sides.append([*timed, own, solver_seconds(name, batch, samples)])
        one, some, all_, own, solver = np.array(sides).sum(axis=0) / len(whole)
        print(
            f"| {name} | {one:.3f} s, {one / own:.1f} × | {some:.3f} s, {some / own:.1f} × | "
            f"{all_:.3f} s, {all_ / own:.1f} × | {own:.3f} s | {solver / own:.2%} |"
        )


def accuracy(task: str, texts: int, most: int) -> None:
    """Print rank correlation with exact Shapley values and mean absolute error, by number of forward passes."""
    classifier = Classifier.from_pretrained(checkpoint(task), device="cpu")
    examples = load_task(task).load().examples
    inputs = [example.text if example.text_pair is None else (example.text, example.text_pair) for example in examples]
    batch = classifier.encode(inputs, ids=[example.id for example in examples])
    batch = batch.select([index for index, n in enumerate(batch.unit_counts().tolist()) if n <= most][:texts])
    exact = batch.unit_scores(load_method("shapley", most=most).attribute(classifier, batch))
    size = np.mean([row.abs().mean() for row in exact])
    counts = batch.unit_counts()
    print(f"{len(batch)} texts of {counts.min()} to {counts.max()} units; mean |score| {size:.4f}")
    print("| method | rank correlation | mean absolute error |")
    print("|---|---|---|")
    chosen = [("kernel_shap", {"samples": n, "paired": paired}) for paired in (True, False) for n in (64, 256, 1024)]
    chosen += [("shapley_sampling", {"orders": n}) for n in (5, 20, 80)]
    for name, parameters in chosen:
        method = load_method(name, **parameters)
        found = batch.unit_scores(method.attribute(classifier, batch))
        ranks = np.mean([spearmanr(a, b).statistic for a, b in zip(found, exact, strict=True)])
        error = np.mean([(a - b).abs().mean() for a, b in zip(found, exact, strict=True)])
        print(f"| {method.label()} | {ranks:.3f} | {error:.4f} |")


def mean_gradient(classifier: Classifier, batch: Batch, most: int = 128) -> torch.Tensor:
    """Norms ``[batch, tokens]`` of Captum's integrated gradients without × input, called as the method calls it."""
    ids = torch.where(batch.units >= 0, classifier.tokenizer.mask_token_id, batch.input_ids)
    captums = captum.attr.LayerIntegratedGradients(
        classifier.logits_from_ids, classifier.embedding_layer, multiply_by_inputs=False
    )
    with classifier.gradients_for_inputs_only():
        found = captums.attribute(
            batch.input_ids,
            ids,
            target=classifier.target(batch),
            additional_forward_args=(batch.attention_mask, batch.token_type_ids, batch.contrast),
            internal_batch_size=max(most, len(batch)),
        )
    return found.detach().norm(dim=-1) * batch.attention_mask


def gradients(model: Path, data: Path, sentences: int, turns: int) -> None:
    """Print the ratio of four separate runs to one, for batches of several kinds, and how far their maps differ."""
    classifier = Classifier.from_pretrained(str(model), device="cpu")
    whole = classifier.encode([example.text for example in load_task("sst2").load(data).examples[:sentences]])
    kinds = {
        "one text at a time": [whole.select([index]) for index in range(len(whole))],
        "4 of similar length": [whole.select(chosen) for chosen in buckets(whole, 4)],
        "all in one batch": [whole],
    }
    runs: dict[str, Callable[[Batch], torch.Tensor]] = {
        name: partial(load_method(name).attribute, classifier)
        for name in ("gradient", "gradient_x_input", "integrated_gradients")
    }
    runs["path_gradient"] = partial(mean_gradient, classifier)
    lengths = whole.lengths()
    print(f"{sentences} sentences of {lengths.min()} to {lengths.max()} tokens, processor time, turns: {turns}")
    print("| batches | padding | four runs | one | ratio | integrated gradients alone | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for kind, batches in kinds.items():
        four, one, alone, apart = [], [], [], 0.0
        for _ in range(turns):
            spent: dict[str, float] = dict.fromkeys((*runs, "all"), 0.0)
            for batch in batches:
                answers: dict[str, torch.Tensor] = {}
                for name, run in runs.items():
                    began = time.process_time()
                    answers[name] = run(batch)
                    spent[name] += time.process_time() - began
                began = time.process_time()
                maps = gradient_maps(classifier, batch)
                spent["all"] += time.process_time() - began
                for name, answer in answers.items():
                    largest = answer.abs().amax(dim=1, keepdim=True)
                    apart = max(apart, float(((maps[name] - answer) / largest).abs().max()))
            one.append(spent.pop("all"))
            four.append(sum(spent.values()))
            alone.append(spent["integrated_gradients"])
        tokens = sum(batch.input_ids.numel() for batch in batches)
        ratio = np.median(np.array(four) / one)
        padding = 1 - int(lengths.sum()) / tokens
        print(
            f"| {kind} | {padding:.0%} | {min(four):.1f} s | {min(one):.1f} s | {ratio:.2f} × | "
            f"{np.median(np.array(alone) / one):.2f} × | {apart:.0e} |"
        )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("speed")
    one.add_argument("model", type=Path)
    one.add_argument("data", type=Path)
    one.add_argument("--sentences", type=int, default=12)
    one.add_argument("--samples", type=int, default=256)
    other = kinds.add_parser("accuracy")
    other.add_argument("--task", default="key_lookup")
    other.add_argument("--texts", type=int, default=12)
    other.add_argument("--most", type=int, default=14)
    third = kinds.add_parser("gradients")
    third.add_argument("model", type=Path)
    third.add_argument("data", type=Path)
    third.add_argument("--sentences", type=int, default=16)
    third.add_argument("--turns", type=int, default=3)
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    {"speed": speed, "accuracy": accuracy, "gradients": gradients}[given.pop("kind")](**given)


if __name__ == "__main__":
    main()
