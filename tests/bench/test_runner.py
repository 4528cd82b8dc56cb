"""Cells that fail, in part and as a whole, and tasks that cannot be run."""

import numpy as np
import pytest
import torch

from whybench import Example, Method, Task, TaskData, load_method, load_task
from whybench.bench.errors import EmptyTextError, LabelError, OperatorError, ParameterError, UnknownNameError
from whybench.bench.recovery import RECOVERY
from whybench.bench.runner import Plan, run
from whybench.bench.sample import sample
from whybench.bench.store import ResultStore
from whybench.tasks.builtin import checkpoint
from whybench.tests.bench.test_store import Silent


class SometimesNan(Method):
    """NaN where a text holds the word given."""

    name, family, signed = "sometimes_nan", "reference", True
    word: str = "red"

    def attribute(self, classifier, batch):
        scores = torch.rand(batch.input_ids.shape)
        for row, texts in zip(scores, batch.texts, strict=True):
            if self.word in texts[0].split():
                row[2] = torch.nan
        return scores


class Raises(Method):
    """Fails as a bug does."""

    name, family, signed = "raises", "reference", True

    def attribute(self, classifier, batch):
        raise IndexError("list index out of range")


class WrongShape(Method):
    """One score too few."""

    name, family, signed = "wrong_shape", "reference", True

    def attribute(self, classifier, batch):
        return torch.zeros(len(batch), batch.input_ids.shape[1] - 1)


class Words(Task):
    """A task of given examples."""

    name, summary, suite = "words", "Given words.", "test"
    labels = ("match", "mismatch")
    default_model = checkpoint("xor_cues")
    given: tuple[Example, ...] = ()

    def load(self, data=None, split=None):
        return TaskData(self.given, "test", "1")


def words(*examples, operator=None):
    return type("Given", (Words,), {"given": examples, "operator": operator})()


def run_one(tmp_path, method, task=None, **options):
    store = ResultStore(tmp_path)
    plan = Plan(tasks=[task or load_task("xor_cues")], methods=[method], device="cpu", **{"limit": 12, **options})
    (stored,) = run(plan, store, Silent())
    return stored, store


def test_an_example_without_scores_fails_alone_and_is_counted(tmp_path):
    stored, _ = run_one(tmp_path, SometimesNan())
    result = stored.result
    table = stored.examples.to_pydict()
    bad = ["red" in text.split() for text in table["text"]]
    assert 0 < sum(bad) < 12
    assert result.status == "finished"
    assert (result.coverage.examples, result.coverage.scored) == (12, 12 - sum(bad))
    assert {failure.example for failure in result.coverage.failed} == {
        name for name, failed in zip(table["example_id"], bad, strict=True) if failed
    }
    assert "not finite" in result.coverage.failed[0].reason
    for failed, error, value, scores in zip(
        bad, table["error"], table["sufficiency"], table["unit_scores"], strict=True
    ):
        assert (error is not None) == (value is None) == (scores is None) == failed
    values = np.array([value for value in table["sufficiency"] if value is not None])
    assert result.figures["sufficiency"].mean == pytest.approx(values.mean())
    assert result.figures["sufficiency"].examples == len(values)


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        (Raises(), "IndexError: list index out of range (test_runner.py, line"),
        (WrongShape(), "The batch has"),
        (SometimesNan(word=""), "no example got a score"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_failed_cell_is_recorded_and_tried_again(tmp_path, method, reason):
    if method.name == "sometimes_nan":
        method = type(
            "Nan", (SometimesNan,), {"attribute": lambda self, c, b: torch.full(b.input_ids.shape, torch.nan)}
        )()
    store = ResultStore(tmp_path)
    observer = Silent()
    plan = Plan(tasks=[load_task("xor_cues")], methods=[method, load_method("random")], limit=4, device="cpu")
    failed, fine = run(plan, store, observer)
    assert failed.result.status == "failed"
    assert reason.lower() in failed.result.error.lower()
    assert fine.result.status == "finished"
    assert [stored.result.label for stored in store.read_all()] == ["random"]
    assert [stored.result.label for stored in store.read_failures()] == [method.label()]
    run(plan, store, observer)
    assert observer.made == [method.label(), "random", method.label()]
    assert observer.reused == ["random"]


def test_a_failure_goes_when_the_cell_finishes(tmp_path, monkeypatch):
    method = SometimesNan()
    monkeypatch.setattr(SometimesNan, "attribute", lambda *_: 1 / 0)
    failed, store = run_one(tmp_path, method)
    assert "ZeroDivisionError" in failed.result.error
    monkeypatch.undo()
    fine, store = run_one(tmp_path, method)
    assert fine.result.status == "finished"
    assert store.read_failures() == []


def test_figures_are_those_of_score(tmp_path):
    import whybench

    stored, _ = run_one(tmp_path, load_method("gradient"))
    classifier = whybench.Classifier.from_pretrained(checkpoint("xor_cues"), device="cpu")
    table = stored.examples.to_pydict()
    batch = classifier.encode(table["text"], ids=table["example_id"])
    scores = load_method("gradient").attribute(classifier, batch)
    for name, values in whybench.score(classifier, batch, scores, signed=False).items():
        np.testing.assert_allclose(values.numpy(), table[name], atol=1e-5, err_msg=name)
        assert stored.result.figures[name].mean == pytest.approx(values.mean().item(), abs=1e-5)
    for row, tokens, length in zip(scores, table["token_scores"], batch.lengths(), strict=True):
        np.testing.assert_allclose(row[:length].numpy(), tokens, rtol=1e-3, atol=1e-6)


def test_recovery_and_accuracy_come_from_evidence_and_labels(tmp_path):
    stored, _ = run_one(tmp_path, load_method("occlusion"))
    assert stored.result.accuracy == 1.0
    assert stored.result.figures["average_precision"].mean == pytest.approx(1.0)
    table = stored.examples.to_pydict()
    assert [sum(units) for units in table["evidence"]] == [2] * 12
    plain = words(Example("a", "red round saddle apple"), Example("b", "blue saddle round apple"))
    stored, _ = run_one(tmp_path / "plain", load_method("random"), plain, limit=None)
    assert stored.result.accuracy is None
    assert "average_precision" not in stored.result.figures
    assert stored.examples.column("evidence").null_count == 2


def test_examples_without_evidence_are_left_out_of_recovery(tmp_path):
    from whybench import Span

    task = words(
        Example("a", "red round saddle", evidence=(Span(0, 0, 3), Span(0, 4, 9))),
        Example("b", "blue saddle round", evidence=()),
    )
    stored, _ = run_one(tmp_path, load_method("occlusion"), task, limit=None)
    assert stored.result.figures["average_precision"].examples == 1
    assert stored.result.figures["sufficiency"].examples == 2


def test_roles_are_scored_kept_and_counted(tmp_path):
    from whybench import Roles, Span

    red, round_, blue = Span(0, 0, 3), Span(0, 4, 9), Span(0, 10, 14)
    roles = Roles(necessary=(red,), sufficient=((red,), (round_,)), distractor=(blue,))
    task = words(
        Example("a", "red round blue", evidence=(red, round_), roles=roles),
        Example("b", "red round blue", evidence=(red, round_)),
        Example("c", "red round blue"),
    )
    stored, _ = run_one(tmp_path, load_method("occlusion"), task, limit=None)
    figures = {name: stored.result.figures[name].examples for name, metric in RECOVERY.items()}
    assert figures == {name: 2 if metric.role is None else 1 for name, metric in RECOVERY.items()}
    rows = stored.examples.to_pylist()
    columns = ("evidence", "necessary", "sufficient", "distractor")
    assert [[row[name] for name in columns] for row in rows] == [
        [[True, True, False], [True, False, False], [[0], [1]], [False, False, True]],
        [[True, True, False], None, None, None],
        [None, None, None, None],
    ]
    scores = np.array(rows[0]["unit_scores"])
    assert rows[0]["distractors_ahead"] == np.mean(scores[2] > scores[:2])
    assert rows[1]["distractors_ahead"] is None


@pytest.mark.parametrize("kind", ["planted", "human", None])
def test_a_result_says_where_the_evidence_comes_from(tmp_path, kind, monkeypatch):
    task = words(Example("a", "red round"))
    monkeypatch.setattr(type(task), "evidence", kind)
    stored, _ = run_one(tmp_path, load_method("random"), task, limit=None)
    assert stored.result.evidence == kind
    monkeypatch.setattr(type(task), "evidence", None)
    again, _ = run_one(tmp_path, load_method("random"), task, limit=None)
    # it is no part of the spec, so that the cell stays the one that it is; of what people marked a digest is
    assert (again.result.cell == stored.result.cell) == (kind != "human")
    assert again.result.evidence == (None if kind == "human" else kind)


class ServesOthers(Method):
    """Knows another architecture."""

    name, family, signed = "serves_others", "attention", False
    serves = ("gpt2", "llama")

    def attribute(self, classifier, batch):
        raise AssertionError("it was asked all the same")


def test_a_method_that_does_not_serve_the_model_is_skipped_with_the_reason(tmp_path):
    stored, store = run_one(tmp_path, ServesOthers())
    assert stored.result.status == "skipped"
    assert "knows them in the architectures gpt2, llama; " in stored.result.error
    assert [one.result.status for one in store.read_failures()] == ["skipped"]
    assert stored.folder.parent == store.failures and store.read_all() == []


def test_a_long_text_is_cut_and_counted(tmp_path):
    task = words(Example("short", "red round"), Example("long", "red round " + "saddle " * 100))
    stored, _ = run_one(tmp_path, load_method("random"), task, limit=None)
    assert stored.result.coverage.truncated == 1
    assert stored.examples.column("truncated").to_pylist() == [False, True]
    assert len(stored.examples.column("unit_scores")[1]) == 62


def test_pairs(tmp_path):
    stored, _ = run_one(tmp_path, load_method("gradient"), words(Example("a", "red saddle", "round apple")), limit=None)
    row = stored.examples.to_pylist()[0]
    assert row["unit_segments"] == [0, 0, 1, 1]
    assert row["text_pair"] == "round apple"


BAD = {
    "empty text": (words(Example("e7", "  ")), {}, EmptyTextError, "'e7' has an empty text"),
    "label": (words(Example("e8", "red round", label=2)), {}, LabelError, "'e8' of words has the label 2"),
    "some pairs": (words(Example("a", "red", "round"), Example("b", "red")), {}, ParameterError, "1 of 2 examples"),
    "operator": (words(Example("a", "red round")), {"operator": "zero"}, UnknownNameError, "Known: delete, mask, pad"),
    "limit": (words(Example("a", "red round")), {"limit": 0}, ParameterError, "limit is 0"),
    "data": (words(Example("a", "red round")), {"data": {"sst2": "x"}}, ParameterError, "sst2"),
    "metric": (words(Example("a", "red round")), {"metrics": ["auc"]}, UnknownNameError, "auc"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_the_task_stops_the_run(tmp_path, case):
    task, options, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        run_one(tmp_path, load_method("random"), task, **{"limit": None, **options})
    assert ResultStore(tmp_path).cells.exists() is False


def test_a_mask_operator_without_mask_token(tmp_path, monkeypatch):
    from whybench import Classifier

    plain = Classifier.from_pretrained

    def maskless(*args, **kwargs):
        classifier = plain(*args, **kwargs)
        classifier.tokenizer.mask_token = None
        return classifier

    monkeypatch.setattr(Classifier, "from_pretrained", maskless)
    with pytest.raises(OperatorError, match="no mask token"):
        run_one(tmp_path, load_method("random"), words(Example("a", "red round"), operator="mask"))
    stored, _ = run_one(tmp_path, load_method("random"), words(Example("a", "red round")))
    assert stored.result.spec.operator == "delete"


def test_a_failures_reason_names_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Raises, "attribute", lambda *_: (tmp_path / "secret" / "cache.bin").read_bytes())
    failed, _ = run_one(tmp_path, Raises())
    assert "cache.bin" in failed.result.error
    assert "FileNotFoundError" in failed.result.error
    assert "secret" not in failed.result.error
    assert str(tmp_path) not in failed.result.error


def test_the_configuration_is_part_of_the_model(tmp_path):
    import json
    import shutil

    from whybench import Classifier
    from whybench.bench.runner import model_spec

    shutil.copytree(checkpoint("xor_cues"), tmp_path / "xor_cues")
    config = json.loads((tmp_path / "xor_cues" / "config.json").read_text())
    (tmp_path / "xor_cues" / "config.json").write_text(json.dumps({**config, "num_attention_heads": 2}))
    one = Classifier.from_pretrained(checkpoint("xor_cues"), device="cpu")
    two = Classifier.from_pretrained(tmp_path / "xor_cues", device="cpu")
    first, second = model_spec(one), model_spec(two)
    assert (first.name, first.weights, first.tokenizer) == (second.name, second.weights, second.tokenizer)
    assert first.config != second.config
    # how it was loaded or used makes no difference
    assert model_spec(
        Classifier.from_pretrained(checkpoint("xor_cues"), device="cpu", dtype=torch.bfloat16)
    ).config == (first.config)
    one.tokenizer(["red round", "red"], padding=True, truncation=True, max_length=3)
    one.model.set_attn_implementation("eager")
    assert model_spec(one) == first
    one.tokenizer.mask_token = "red"
    assert model_spec(one).tokenizer != first.tokenizer


def test_the_sample_is_seeded_and_in_order():
    data = TaskData([Example(str(i), "x") for i in range(100)], "test", "1")
    first = [int(e.id) for e in sample(data, 10, 0)]
    assert first == sorted(first) == [int(e.id) for e in sample(data, 10, 0)]
    assert first != [int(e.id) for e in sample(data, 10, 1)]
    assert max(first) > 20
    assert len(sample(data, 200, 0)) == len(sample(data, None, 0)) == 100


def test_a_method_may_see_another_precision(tmp_path):
    stored, _ = run_one(tmp_path, load_method("gradient"), dtype=torch.bfloat16)
    assert stored.result.spec.dtype == "bfloat16"
    assert stored.result.status == "finished"
    exact, _ = run_one(tmp_path, load_method("gradient"))
    assert exact.result.cell != stored.result.cell
    # the same model scores both
    one, two = (s.examples.column("probability").to_numpy() for s in (stored, exact))
    np.testing.assert_allclose(one, two, atol=1e-6)


def test_labels_are_the_models_by_name(tmp_path):
    turned = type("Turned", (Words,), {"labels": ("mismatch", "match"), "given": (Example("a", "red round", label=1),)})
    stored, _ = run_one(tmp_path, load_method("random"), turned(), limit=None)
    assert (stored.result.accuracy, stored.result.label_names) == (1.0, ("match", "mismatch"))
    assert stored.examples.column("label").to_pylist() == [0]


def test_rows_left_out_are_in_the_result(tmp_path):
    class Gappy(Words):
        def load(self, data=None, split=None):
            return TaskData([Example("a", "red round")], "test", "1", left_out=3)

    stored, _ = run_one(tmp_path, load_method("random"), Gappy(), limit=None)
    assert (stored.result.coverage.examples, stored.result.coverage.left_out) == (1, 3)


def test_a_task_without_a_default_model(tmp_path):
    bare = type("Bare", (Words,), {"default_model": "", "given": (Example("a", "red round"),)})
    with pytest.raises(ParameterError, match="words has no default model; give one with --model"):
        run_one(tmp_path, load_method("random"), bare())
    stored, _ = run_one(tmp_path, load_method("random"), bare(), limit=None, model=checkpoint("xor_cues"))
    assert stored.result.status == "finished"
