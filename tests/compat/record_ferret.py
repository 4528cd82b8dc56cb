"""Record what ferret-xai gives, for the tests of ``profile="ferret"``.

    python -m whybench.tests.compat.record_ferret ENVIRONMENT [SHARED]

ENVIRONMENT is a folder for ferret's own environment, made from ferret-requirements.txt where it is not there yet. The
shipped checkpoints are recorded in ferret_shipped.json, sentences and all. With SHARED, a folder with the data and the
checkpoint of SST-2, 60 of its sentences are recorded in ferret_sst2.json: by row, and no word of them.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from whybench import Classifier, load_method, load_task
from whybench.tests.compat.cases import (
    FOLDER,
    PIECES,
    RULES,
    SHIPPED,
    SST2,
    SST2_ROWS,
    WORDS,
    folder_of,
    made_up,
    sentences,
)

EXPLAINERS = ("ferret_gradient", "ferret_gradient_x_input", "ferret_integrated_gradients")
REAL_RULES = ("random", "negative", "tied")


def environment(folder):
    """The Python of ferret's environment."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-r", FOLDER / "ferret-requirements.txt"], check=True)
    return python


def cases(model, classifier, texts, keys, *, method=None, explainers=(), rules=tuple(RULES)):
    """One case per text: its target is the model's prediction, its scores are a method's and those by rule."""
    batch = classifier.encode(texts)
    targets = classifier.target(batch).tolist()
    given = load_method(method).attribute(classifier, batch) if method else None
    for i, (text, key, length) in enumerate(zip(texts, keys, batch.lengths().tolist(), strict=True)):
        own = {} if given is None else {method: [float(f"{score:.6g}") for score in given[i, :length].tolist()]}
        drawn = made_up(key, length)
        scores = {**own, **{rule: drawn[rule] for rule in rules}}
        yield {"model": model, "text": text, "target": targets[i], "scores": scores, "explainers": explainers}


def ask(python, models, asked):
    """What ferret answers."""
    with tempfile.TemporaryDirectory() as folder:
        job, answers = Path(folder) / "job.json", Path(folder) / "answers.json"
        job.write_text(json.dumps({"models": [str(model) for model in models], "cases": asked}), encoding="utf-8")
        subprocess.run(
            [python, "-W", "ignore", FOLDER / "ferret_side.py", job, answers], check=True, cwd=folder, env={}
        )
        return json.loads(answers.read_text(encoding="utf-8"))


def write(path, versions, rows):
    """One case a line, so that a change can be read."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f'{{"versions": {json.dumps(versions)},\n"cases": [\n{lines}\n]}}\n', encoding="utf-8")


def record_shipped(python):
    """The shipped checkpoints, on their tasks' sentences and on invented ones."""
    names = [*WORDS, PIECES]
    with tempfile.TemporaryDirectory() as folder:
        folders = [folder_of(name, folder) for name in names]
        asked = []
        for model, name in enumerate(names):
            texts = sentences(name)
            keys = [f"{name} {i}" for i in range(len(texts))]
            classifier = Classifier.from_pretrained(folders[model], device="cpu")
            asked += cases(model, classifier, texts, keys, method="gradient_x_input")
        found = ask(python, folders, asked)
    rows = [
        {
            "model": names[case["model"]],
            "text": case["text"],
            "target": case["target"],
            **answer,
            "own": {"gradient_x_input": case["scores"]["gradient_x_input"]},
        }
        for case, answer in zip(asked, found["answers"], strict=True)
    ]
    write(SHIPPED, found["versions"], rows)


def record_sst2(python, shared):
    """Real sentences, with ferret's explainers among the sources of scores."""
    model = shared / "models" / "minilm-sst2"
    examples = load_task("sst2").load(data=shared / "data" / "sst2").examples
    texts, keys = [examples[row].text for row in SST2_ROWS], [f"sst2 {row}" for row in SST2_ROWS]
    classifier = Classifier.from_pretrained(model, device="cpu")
    asked = list(cases(0, classifier, texts, keys, explainers=EXPLAINERS, rules=REAL_RULES))
    found = ask(python, [model], asked)
    rows = [
        {"row": row, "target": case["target"], **answer}
        for row, case, answer in zip(SST2_ROWS, asked, found["answers"], strict=True)
    ]
    write(SST2, found["versions"], rows)


if __name__ == "__main__":
    own_python = environment(Path(sys.argv[1]).resolve())
    record_shipped(own_python)
    if len(sys.argv) > 2:
        record_sst2(own_python, Path(sys.argv[2]).resolve())
