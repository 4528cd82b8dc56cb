"""Closed sets of names, for signatures, schemas and the command line; free of heavy imports."""

from __future__ import annotations

from typing import Literal, get_args

UnitKind = Literal["word", "token"]
UNITS: tuple[UnitKind, ...] = get_args(UnitKind)

OperatorName = Literal["mask", "delete", "pad"]
OPERATORS: tuple[OperatorName, ...] = get_args(OperatorName)

# other: of scores made elsewhere, where it is not said how
Family = Literal["attention", "gradient", "perturbation", "other", "reference", "control"]
FAMILIES: tuple[Family, ...] = get_args(Family)
CONTROL: Family = "control"
# Yardsticks: shown, never ranked
UNRANKED: tuple[Family, ...] = ("reference", CONTROL)

# The end of the skill's scale that a reference gives
Bound = Literal["floor", "ceiling"]

# Where a task's evidence comes from: put there by the rule that makes the texts, or marked by people
EvidenceKind = Literal["planted", "human"]
# What a unit does for the label, by the rule that gives it; see `whybench.bench.task.Roles`
Role = Literal["necessary", "sufficient", "distractor"]
ROLES: tuple[Role, ...] = get_args(Role)

# What a row has to pass to be ranked; the last one is tried where it is asked for
GateName = Literal[
    "determinism",
    "batch_invariance",
    "padding_invariance",
    "label_sensitivity",
    "model_unchanged",
    "completeness",
    "coverage",
    "randomised_weights",
]
GATES: tuple[GateName, ...] = get_args(GateName)

TaskKind = Literal["classification", "next_token"]
TASK_KINDS: tuple[TaskKind, ...] = get_args(TaskKind)
# The labels of a next-token example: the target, and what it is explained against
CONTRAST = ("continuation", "foil")

# Of a row that was submitted: whether some of its examples were made again by someone else
Standing = Literal["verified", "self-reported"]

Measure = Literal["faithfulness", "causal"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

# Whose texts a published copy of results holds: those of tasks that make their own, nobody's, everybody's
Texts = Literal["builtin", "none", "all"]
TEXTS: tuple[Texts, ...] = get_args(Texts)
# of so many examples it holds texts, maps and curves
MAPS = 12
