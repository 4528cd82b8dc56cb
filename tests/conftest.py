"""Fixtures that many tests share."""

import os
from pathlib import Path

import pytest

# one thread: the tests' machines are small, and timings in them are ratios
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info):
    """What times hang on besides the processor goes into the record of `make bench`."""
    import torch
    import transformers

    on_gpu = torch.cuda.is_available()
    environment = _environment(torch.device("cuda" if on_gpu else "cpu"))
    machine_info |= {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "gpu": environment.device if on_gpu else None,
        "driver": environment.driver,
    }


def _environment(device):
    from whybench.bench.environment import environment

    return environment(device)


@pytest.fixture
def one_thread():
    """Torch on one thread, also where the environment asks for more: rounding and times are then the same each time."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def xor_classifier():
    """The built-in checkpoint of the task xor_cues: small, trained, and its evidence known."""
    from whybench import Classifier
    from whybench.tasks.builtin import checkpoint

    return Classifier.from_pretrained(checkpoint("xor_cues"), device="cpu")


@pytest.fixture(scope="session")
def xor_examples():
    """Twelve examples of xor_cues."""
    from whybench import load_task

    return load_task("xor_cues").load().examples[:12]


@pytest.fixture
def xor_batch(xor_classifier, xor_examples):
    """Those examples, encoded."""
    return xor_classifier.encode([e.text for e in xor_examples], ids=[e.id for e in xor_examples])


@pytest.fixture(scope="session")
def shared():
    """Folder with real data and real checkpoints; they are not part of the project."""
    folder = Path(os.environ.get("WHYBENCH_SHARED", "../shared"))
    if not (folder / "models" / "minilm-sst2").is_dir():
        pytest.skip(f"no real checkpoints under {folder} (set WHYBENCH_SHARED)")
    return folder
