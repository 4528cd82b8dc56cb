"""What the built-in tasks share: base class, words, training script, checkpoints. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path


def checkpoint(name: str) -> str:
    """Folder of the checkpoint that ships for a built-in task, whether or not it has been trained yet.

    Args:
        name: The task's name.
    """
    return str(Path(__file__).resolve().parent / "models" / name)
