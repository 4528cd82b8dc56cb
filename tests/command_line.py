"""The command line in this process, as a new one spends seconds on imports."""

import sys

from whybench.bench.cli import main


def in_this_process(monkeypatch, *arguments):
    """Run ``whybench`` here; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["whybench", *map(str, arguments)])
    try:
        main()
    except SystemExit as stopped:
        return stopped.code or 0
    return 0
