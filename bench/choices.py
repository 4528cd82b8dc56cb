"""Closed sets of names, for signatures, schemas and the command line; free of heavy imports."""

from __future__ import annotations

from typing import Literal, get_args

UnitKind = Literal["word", "token"]
UNITS: tuple[UnitKind, ...] = get_args(UnitKind)

OperatorName = Literal["mask", "delete", "pad"]
OPERATORS: tuple[OperatorName, ...] = get_args(OperatorName)

Family = Literal["attention", "gradient", "perturbation", "reference", "control"]
FAMILIES: tuple[Family, ...] = get_args(Family)
CONTROL: Family = "control"
# Yardsticks: shown, never ranked
UNRANKED: tuple[Family, ...] = ("reference", CONTROL)

Measure = Literal["faithfulness", "causal"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
