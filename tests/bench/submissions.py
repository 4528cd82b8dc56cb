"""Submissions to try things on: a method in a file, run on a few examples, and packed."""

import hashlib
import json
import textwrap

from whybench import load_method, load_task
from whybench.bench.runner import Plan, run
from whybench.bench.store import ResultStore
from whybench.bench.submission import Tolerance, draft, write
from whybench.tests.bench.test_store import Silent

ABOUT = {"authors": ["Ada Example"], "paper": "none", "code": "https://example.org/code", "licence": "MIT"}

METHOD = """
    from torch import Tensor

    from whybench import Batch, Classifier, Method


    class GradientNorm(Method):
        \"\"\"Norm of the gradient, to a power.

        Attributes:
            power: The exponent.
        \"\"\"

        name, family, signed = "gradient_norm", "gradient", False

        power: float = 1.0

        def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
            \"\"\"Scores ``[batch, tokens]``.\"\"\"
            return classifier.embedding_gradient(batch)[0].norm(dim=-1) ** self.power
"""


def method_file(folder, text=METHOD, name="gradient_norm"):
    """The file of the method."""
    path = folder / f"{name}.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def results(folder, *methods, task="xor_cues", limit=4):
    """A results folder with these methods on a few examples."""
    store = ResultStore(folder)
    run(Plan(tasks=[load_task(task)], methods=methods, limit=limit, device="cpu"), store, Silent())
    return store


def packed(folder, text=METHOD, **options):
    """A submission of the method above, or of another one of its name: the folder."""
    path = method_file(folder, text)
    store = results(folder / "results", load_method(str(path)), **options)
    return write(draft(store, str(path), {}, ABOUT), folder / "submissions", Tolerance())


def contents(folder):
    """All files of a folder: by their path in it the bytes, links as where they lead."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


def sha(content):
    """SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def seal(files):
    """Make all digests right again, as one would who changes a file and hides it; in place."""
    head = json.loads(files["submission.json"])
    for one in head["cells"]:
        folder = f"cells/{one['cell']}"
        manifest = json.loads(files[f"{folder}/manifest.json"])
        for name in manifest["files"]:
            manifest["files"][name] = sha(files[f"{folder}/{name}"])
        files[f"{folder}/manifest.json"] = json.dumps(manifest).encode()
        one["manifest"] = sha(files[f"{folder}/manifest.json"])
        if one["check"]:
            one["check"] = sha(files[f"checks/{one['cell']}.json"])
    if head["source"]:
        head["source"]["digest"] = sha(files[head["source"]["file"]])
    files["submission.json"] = json.dumps(head).encode()


def lay_out(folder, files):
    """Write files into a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
