"""What all commands share in talking to a person or a machine."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(value: Any) -> None:
    """Print JSON, and nothing else, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def quiet() -> None:
    """Our own progress bar is the only one."""
    import transformers

    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
