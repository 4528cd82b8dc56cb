"""What every method promises, as one table of checks: ``whybench check method`` prints it, a test runs it on all."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from whybench.bench.choices import UNRANKED, GateName
from whybench.bench.conformance import ANYTHING, Check, Finding, Found, Report
from whybench.bench.errors import NonFiniteScoresError, ParameterError, UnknownNameError, reason_of
from whybench.bench.gates import COMPLETENESS, COMPLETENESS_LIMIT, TOLERANCE, difference
from whybench.bench.method_subject import MODELS, NEXT_TOKEN, Subject, Trial, listed
from whybench.bench.registry import load_method
from whybench.bench.scoring import check_shape
from whybench.bench.statistics import bootstrap_intervals
from whybench.bench.tiny_models import MAX_LENGTH, PAIRS, TEXTS

LONGEST_FILE = 150
FEWEST_RANKED = 5
"""Units that a text must have for its rank correlation to say something."""
RANK_CORRELATION = 0.7
"""Least mean Spearman correlation of unit scores in bfloat16 and in float32 that still counts as the same ranking."""
STEEP_TOLERANCE = 1e-3
"""The tiny models are steeper than any that was trained, and magnify rounding: up to this it is a warning only."""
DEVICE_TOLERANCE = 1e-3
"""Largest difference between the maps of two devices, relative to the larger one's largest score."""
ABOUT_A_LABEL = "label_specific is False, and another label has other scores; leave label_specific out."
CONTROL_SKIPPED = "It is a control, which the causal suite alone measures."


def _promised(run: Callable[[Subject, Found], None]) -> Check[Subject]:
    return Check(run.__name__, run, ())


@_promised
def file(subject: Subject, found: Found) -> None:
    """Its file can be imported, and defines a usable method of the file's name."""
    path = Path(inspect.getfile(type(subject.method)))
    lines = len(path.read_text(encoding="utf-8").splitlines())
    found.facts["lines"] = lines
    if lines > LONGEST_FILE:
        found.warn(f"{path.name} has {lines} lines; a method is one file of at most {LONGEST_FILE}.")


@_promised
def declarations(subject: Subject, found: Found) -> None:
    """Its docstring says what it is, its source, whether its scores have signs, and what its parameters mean."""
    method = subject.method
    found.facts |= {"family": method.family, "signed": method.signed}
    doc = inspect.cleandoc(type(method).__doc__ or "")
    if "TODO" in doc:
        found.fail("The docstring says TODO where an answer is due.")
    if "Source:" not in doc and method.family not in UNRANKED:
        found.fail('The docstring has no "Source:", the paper with its arXiv id, or "Source: none" and why.')
    if not re.search(r"\b([Ss]igned|[Uu]nsigned)\b", doc) and method.family not in UNRANKED:
        found.fail('The docstring does not say "Signed" or "Unsigned", and what a score below 0 means.')
    documented = "\n".join(inspect.cleandoc(one.__doc__ or "") for one in type(method).__mro__)
    found.fail_each(
        'No docstring explains, under "Attributes:", the parameters',
        [name for name in method.parameters() if not re.search(rf"^\s*{name}: ", documented, re.MULTILINE)],
    )


@_promised
def models(subject: Subject, found: Found) -> None:
    """It has an answer on every architecture, or says of one that it does not serve it and why."""
    if not subject.trials:
        found.skip(CONTROL_SKIPPED)
        return
    for trial in subject.trials:
        if trial.broken:
            found.fail(f"{trial.model}: {trial.broken}")
    found.facts["answers on"] = [trial.model for trial in subject.answered]
    if unserved := [trial for trial in subject.trials if trial.unserved]:
        found.facts["not on"] = [trial.model for trial in unserved]
    if len(unserved) == len(subject.trials):
        found.fail(f"It serves none of them; the first: {unserved[0].unserved}")
    without = [trial for trial in subject.answered if len(trial.failed) == len(trial.batch)]
    if without and len(without) == len(subject.answered):
        found.fail(f"No text has scores on any of them; the first: {without[0].failed[0]}")
    elif without:
        models = listed([trial.model for trial in without])
        found.warn(f"{models}: no text has scores, the first: {without[0].failed[0]}")


@_promised
def answers(subject: Subject, found: Found) -> None:
    """Scores are finite, differ from unit to unit, and are not negative where unsigned; texts without any are named."""

    def look(trial: Trial) -> str | None:
        scores = trial.answer.scores
        if scores.requires_grad:
            return "The scores hang on a graph; return them detached."
        good = [i for i in range(len(trial.batch)) if i not in trial.failed]
        if not torch.isfinite(scores[good]).all():
            return "Special tokens or padding have scores that are not finite; give them 0."
        if any(isinstance(error, NonFiniteScoresError) for error in trial.unsaid.values()):
            return "scores are not finite; name such texts in Attribution.failed, with the reason."
        if trial.unsaid:
            return "scores are below 0, and the class says signed = False; set signed, or negative, or return sizes."
        rows = [row for i, row in enumerate(trial.batch.unit_scores(scores)) if i in good and len(row) > 1]
        if rows and all(bool((row == row[0]).all()) for row in rows):
            return "all units of a text have the same score, in every text."
        lowest.append(min((float(row.min()) for row in rows), default=0.0))
        without[trial.model] = [int(trial.batch.unit_counts()[i]) for i in trial.failed]
        reasons.update(trial.failed.values())
        return None

    without: dict[str, list[int]] = {}
    reasons: set[str] = set()
    lowest: list[float] = []
    subject.each(found, look)
    if subject.method.signed and lowest and min(lowest) >= 0:
        found.warn("The class says signed = True, and no score is below 0.")
    for lacking in {tuple(units) for units in without.values() if units}:
        there = [model for model, units in without.items() if tuple(units) == lacking]
        found.warn(f"{listed(there)}: no scores for texts of {', '.join(map(str, lacking))} units.")
    if reasons:
        found.warn(f"The first reason: {sorted(reasons)[0]}")


@_promised
def padding(subject: Subject, found: Found) -> None:
    """Padding has the score 0."""

    def look(trial: Trial) -> str | None:
        on_padding = trial.answer.scores[trial.batch.attention_mask == 0]
        return "scores stand on padding; multiply by batch.attention_mask." if on_padding.count_nonzero() else None

    subject.each(found, look)


@_promised
def completeness(subject: Subject, found: Found) -> None:
    """Scores add up where the method claims that they do: the median of what is missing, on trained models."""
    untrained: dict[str, float] = {}

    def look(trial: Trial) -> str | None:
        if COMPLETENESS in trial.answer.report:
            shares = trial.answer.report[COMPLETENESS].tolist()
            untrained[trial.model] = float(np.median([s for i, s in enumerate(shares) if i not in trial.failed] or [0]))
        return None

    subject.each(found, look)
    trained = {task: float(np.median(one.missing)) for task, one in subject.sensed.items() if len(one.missing)}
    if not untrained and not trained:
        found.skip("It does not claim that its scores add up.")
        return
    found.facts["missing share by task"] = trained
    found.fail_each(
        f"The median must be at most {COMPLETENESS_LIMIT}; it is more on",
        [task for task, median in trained.items() if not median <= COMPLETENESS_LIMIT],
    )
    if above := [model for model, median in untrained.items() if not median <= COMPLETENESS_LIMIT]:
        found.warn(f"The tiny models are steeper than any that was trained; it is also more on {listed(above)}.")


def _gate(name: GateName, promise: str) -> Check[Subject]:
    """A check that is one of the gates of a run."""

    def run(subject: Subject, found: Found) -> None:
        values: list[float] = []
        reasons: set[str] = set()
        ranked = subject.method.family not in UNRANKED

        def look(trial: Trial) -> str | None:
            outcome = trial.gates[name]
            if outcome.value is not None:
                values.append(outcome.value)
            if outcome.status in ("not_run", "not_applicable"):
                reasons.add(outcome.reason)
            if name == "label_sensitivity" and not subject.method.label_specific and ranked:
                return ABOUT_A_LABEL if trial.change_by_label > STEEP_TOLERANCE else None
            if outcome.status != "failed":
                return None
            reason = outcome.reason or "the scores differ"
            if outcome.value is not None and TOLERANCE < outcome.value <= STEEP_TOLERANCE:
                found.warn(f"{trial.model}: {reason} by more than {TOLERANCE:.0e}.")
                return None
            return reason

        subject.each(found, look)
        if values:
            # another label must make a difference; all else must make none
            worst = min if name == "label_sensitivity" else max
            found.facts["worst difference"] = worst(values)
        elif reasons and not found.failures:
            found.skip(f"{'; '.join(sorted(reasons)).capitalize()}.")

    run.__doc__ = promise
    return Check(name, run, ())


@_promised
def random_numbers(subject: Subject, found: Found) -> None:
    """Chance comes from a generator of its own, seeded by the example, and not from a global one."""
    subject.each(found, lambda trial: None)
    if drawing := [trial.model for trial in subject.answered if trial.draws_global_numbers]:
        found.warn(f"{listed(drawing)}: it draws from a global generator, so that other code changes its scores.")


@_promised
def lengths(subject: Subject, found: Found) -> None:
    """Texts that fill the model's longest input, or are cut at it, are explained as well."""

    def look(trial: Trial) -> str | None:
        # a prompt is never cut; and what has no answer for a text of some length has none for a longer one
        if trial.model == NEXT_TOKEN or trial.failed:
            return None
        batch = trial.encoded(["the cast was great but the film was slow " * MAX_LENGTH, TEXTS[1]])
        answer = trial.explain(batch)
        tried.append(trial.model)
        check_shape(batch, answer.scores)
        tokens = batch.input_ids.shape[1]
        if answer.failed:
            found.warn(f"{trial.model}, {tokens} tokens: {answer.failed[min(answer.failed)]}")
        elif not torch.isfinite(answer.scores).all():
            return f"a text of {tokens} tokens has scores that are not finite."
        return None

    tried: list[str] = []
    subject.each(found, look)
    if subject.answered and not tried:
        found.skip("Some shorter text has no scores already, on all models.")


@_promised
def pairs(subject: Subject, found: Found) -> None:
    """Pairs of texts have the same scores alone and together."""

    def look(trial: Trial) -> str | None:
        if trial.model == NEXT_TOKEN:
            return None
        batch = trial.encoded(PAIRS)
        together = trial.explain(batch)
        for i in set(range(len(batch))) - set(together.failed):
            one = batch.select([i])
            alone = one.unit_scores(trial.explain(one).scores)[0].numpy()
            compared.append(trial.model)
            if difference(batch.unit_scores(together.scores)[i].numpy(), alone) > TOLERANCE:
                return "a pair has other scores alone than beside another one."
        return None

    compared: list[str] = []
    subject.each(found, look)
    if subject.answered and not compared and not found.failures:
        found.skip("No pair has scores.")


@_promised
def precision(subject: Subject, found: Found) -> None:
    """A model in bfloat16 has the ranking that it has in float32, or it is said that there is no answer."""
    correlations: dict[str, float] = {}

    def look(trial: Trial) -> str | None:
        half = trial.explain(trial.batch, trial.copied(dtype=torch.bfloat16))
        check_shape(trial.batch, half.scores)
        if half.failed:
            found.facts["no answer in bfloat16"] = half.failed[min(half.failed)]
        rows = zip(trial.batch.unit_scores(trial.answer.scores), trial.batch.unit_scores(half.scores), strict=True)
        found_here = []
        for i, (one, other) in enumerate(rows):
            if i in trial.failed or i in half.failed or len(one) < FEWEST_RANKED or one.std() == 0:
                continue
            if not torch.isfinite(other).all():
                return "scores in bfloat16 are not finite."
            found_here.append(float(spearmanr(one, other).statistic) if other.std() > 0 else 0.0)
        if found_here:
            correlations[trial.model] = float(np.mean(found_here))
        return None

    subject.each(found, look)
    if subject.answered and not correlations and not found.failures:
        found.skip(f"No text of {FEWEST_RANKED} units or more has scores in both precisions.")
    if correlations:
        mean = float(np.mean(list(correlations.values())))
        lowest = min(correlations, key=correlations.__getitem__)
        found.facts |= {"mean rank correlation": mean, f"lowest, on {lowest}": correlations[lowest]}
        if mean < RANK_CORRELATION:
            found.fail(f"The mean rank correlation must be at least {RANK_CORRELATION}.")


@_promised
def device(subject: Subject, found: Found) -> None:
    """A GPU gives the scores that the processor gives."""
    if not torch.cuda.is_available():
        found.skip("There is no GPU here.")
        return

    def look(trial: Trial) -> str | None:
        there = trial.copied(device="cuda")
        scores = trial.explain(there.to_device(trial.batch), there).scores
        rows = zip(trial.batch.unit_scores(trial.answer.scores), trial.batch.unit_scores(scores), strict=True)
        apart = [difference(a.numpy(), b.numpy()) for i, (a, b) in enumerate(rows) if i not in trial.failed]
        return "the scores differ" if max(apart, default=0.0) > DEVICE_TOLERANCE else None

    subject.each(found, look)


@_promised
def recovery(subject: Subject, found: Found) -> None:
    """It finds planted evidence better than a random order does, or says why it is not expected to."""
    method = subject.method
    if method.family in UNRANKED:
        found.skip("It is no explanation that is ranked.")
        return
    tried = {task: one.gains for task, one in subject.sensed.items() if len(one.gains)}
    if not tried:
        found.skip("It was asked about no task, or has no answer for their texts and models.")
        return
    if silent := [task for task in subject.sensed if task not in tried]:
        found.warn(f"No answer on {', '.join(silent)}.")
    # good on one task does not make up for a wrong sign on another, which a mean over tasks would hide
    if worse := [task for task, gains in tried.items() if bootstrap_intervals(gains[:, None])[1, 0] < 0]:
        found.warn(f"Worse than a random order on {', '.join(worse)}.")
    low = float(bootstrap_intervals(np.concatenate(list(tried.values()))[:, None])[0, 0])
    found.facts["gain in average precision"] = {task: float(gain.mean()) for task, gain in tried.items()}
    found.facts["its mean is at least"] = low
    if low <= 0 and not method.weakness:
        found.fail("The gain is not above 0; if it need not be, say why in the class's attribute weakness.")
    elif low <= 0:
        found.warn(f"Known: {method.weakness}")
    elif method.weakness:
        found.warn("It does better than its attribute weakness says.")


CHECKS: tuple[Check[Subject], ...] = (
    file,
    declarations,
    models,
    answers,
    padding,
    _gate("determinism", "With the same seed it gives the same scores."),
    _gate("batch_invariance", "A text alone, one of a single word too, has the scores that it has in a batch."),
    _gate("padding_invariance", "More padding changes no score."),
    _gate("label_sensitivity", "Another label has another explanation, or the same where scores are about no label."),
    _gate("model_unchanged", "It leaves the model as it was (weights, gradients, hooks, modes, settings), and torch."),
    completeness,
    random_numbers,
    lengths,
    pairs,
    precision,
    device,
    recovery,
)


def check_method(
    name: str, parameters: Mapping[str, str] | None = None, *, models: Sequence[str] = MODELS, trained: bool = True
) -> Report:
    """Run the table over a method. What its code raises is a finding.

    Args:
        name: Name of a method, or the path of a Python file that defines one.
        parameters: Its parameters, where they are not the defaults.
        models: Names of tiny models to try it on.
        trained: Whether to try it on the built-in tasks and their trained models, too.

    Raises:
        UnknownNameError: There is no such method, or it has no such parameter.
        ParameterError: A parameter has a value that is not allowed.
    """
    try:
        method = load_method(name, **parameters or {})
    except (UnknownNameError, ParameterError):
        # wrong use, and no fault of the method
        raise
    except ANYTHING as error:  # whatever a contributor's code raises is the reason to show
        found = Found()
        found.fail(reason_of(error))
        return Report(name, [Finding.of(file.name, file.promise, found)])
    subject = Subject(method, models, trained)
    title = f"{method.label()} on {len(subject.trials)} tiny models{' and the built-in tasks' * trained}"
    return Report(title, [_finding(check, subject) for check in CHECKS])


def _finding(check: Check[Subject], subject: Subject) -> Finding:
    found = Found()
    try:
        check.run(subject, found)
    except ANYTHING as error:  # whatever a contributor's code raises is the reason to show
        found.fail(reason_of(error))
    return Finding.of(check.name, check.promise, found)
