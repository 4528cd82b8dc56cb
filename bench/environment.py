"""Where a result was made: versions and hardware, and nothing that names a person or a machine."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from functools import cache
from pathlib import Path

import torch
import transformers

import whybench
from whybench.bench.schema import Environment

PACKAGES = ("captum", "datasets", "evaluate", "numpy", "wandb")


def environment(device: torch.device) -> Environment:
    """The environment of results that are made on the device."""
    on_gpu = device.type == "cuda"
    return Environment(
        whybench=importlib.metadata.version("whybench"),
        commit=commit_of(Path(whybench.__file__).parent),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        torch=torch.__version__,
        transformers=transformers.__version__,
        packages={name: importlib.metadata.version(name) for name in PACKAGES},
        device=torch.cuda.get_device_name(device) if on_gpu else _processor(),
        driver=_driver() if on_gpu else None,
        threads=torch.get_num_threads(),
    )


@cache
def commit_of(folder: Path) -> str | None:
    """The commit that the sources in a folder are of, ``+changed`` after it where they differ from it.

    Args:
        folder: A package's folder. That a repository lies around it is not enough: whybench may be installed within
            somebody's project, whose commit says nothing of it.

    Returns:
        The commit's full name; None where the sources are not a repository's, or git is not there.
    """
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    # in a checkout the package's folders are links to those beside it
    sources = sorted({str(path.resolve()) for path in (folder, *folder.iterdir()) if path.is_dir()})
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", *sources)
    return None if commit is None else f"{commit}+changed" if changes else commit


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails, is not there, or may not be run."""
    # the index stays as it is: a commit that is being made elsewhere would find it locked
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _driver() -> str:
    version = Path("/proc/driver/nvidia/version")
    text = version.read_text(encoding="utf-8", errors="replace").splitlines()[0] if version.is_file() else "unknown"
    # the number alone: the line can hold the name of the machine that the driver was built on
    number = re.search(r"\b\d+\.\d+(\.\d+)?\b", text)
    return f"{number.group() if number else 'unknown'} (CUDA {torch.version.cuda})"
