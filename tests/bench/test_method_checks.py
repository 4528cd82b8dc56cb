"""The table of checks on methods: each check passes what is right and fails what is wrong, and never raises."""

import dataclasses
import json
import random
import textwrap

import numpy as np
import pytest
import torch

from whybench import load_method
from whybench.bench.conformance import Found
from whybench.bench.errors import ParameterError, UnknownNameError, UnsupportedArchitectureError
from whybench.bench.gates import COMPLETENESS
from whybench.bench.method import Attribution, Method
from whybench.bench.method_checks import CHECKS, check_method
from whybench.bench.method_sense import expected_average_precision
from whybench.bench.method_subject import MODELS, Subject, Trial
from whybench.bench.recovery import average_precision

GOOD = '''
    import random

    import numpy as np
    import torch

    from whybench import Attribution, Method
    from whybench.bench.errors import UnsupportedArchitectureError

    class Good(Method):
        """The gradient's norm, to a power.

        Source: none; it is for a test. Unsigned.

        Attributes:
            power: Of the norm.
        """

        name, family, signed = "good", "gradient", False

        power: float = 1.0

        def attribute(self, classifier, batch):
            _, gradient = classifier.embedding_gradient(batch)
            scores = gradient.norm(dim=-1) ** self.power * batch.attention_mask
            return self.spoiled(scores, classifier, batch)

        def spoiled(self, scores, classifier, batch):
            {}
            return scores
'''
PROPERTY = "        @property\n        def label_specific(self):\n            return False\n"
LEAVES_A_HOOK = "classifier.embedding_layer.register_forward_hook(lambda *_: None)"
SPOILED = {
    "answers": ["scores = scores * 0", "scores = scores.requires_grad_()", "scores[:, 0] = float('nan')"],
    "padding": ["scores = scores + 1"],
    "determinism": ["scores = scores + torch.from_numpy(np.random.default_rng().random(scores.shape)) * scores"],
    "batch_invariance": ["scores = scores * len(scores)", "scores = scores / scores.max()"],
    "padding_invariance": ["scores = scores * scores.shape[1]"],
    "model_unchanged": ["list(classifier.model.modules())[-1].train()", LEAVES_A_HOOK],
    "lengths": ["scores = scores / (batch.input_ids.shape[1] != classifier.max_length)"],
    "pairs": ["scores = scores * (1 if batch.units.max() < 0 or len(batch.texts[0]) == 1 else len(scores))"],
    "precision": ["scores = scores if classifier.dtype == torch.float32 else scores.max() - scores * (scores > 0)"],
    "models": ["raise KeyError('x')", "return scores[:1]"],
}
# what cannot be kept without the other
ALSO = {
    "answers": {"lengths", "label_sensitivity", "precision"},
    "determinism": {"batch_invariance", "padding_invariance", "pairs"},
    "batch_invariance": {"pairs"},
    "padding_invariance": {"batch_invariance", "pairs"},
    "lengths": {"padding_invariance"},
}


def written(tmp_path, line, name="good"):
    path = tmp_path / f"{name}.py"
    path.write_text(textwrap.dedent(GOOD).format(line).replace('"good"', f'"{name}"'))
    return str(path)


def statuses(report):
    return {finding.check: finding.status for finding in report.findings}


def failed(report):
    return {finding.check for finding in report.findings if finding.status == "failed"}


@pytest.mark.parametrize(("check", "line"), [(check, line) for check, lines in SPOILED.items() for line in lines])
def test_a_broken_promise_fails_its_check_and_no_other(check, line, tmp_path):
    report = check_method(written(tmp_path, line), models=("bert",), trained=False)
    assert failed(report) - ALSO.get(check, set()) == {check}
    assert [finding.check for finding in report.findings] == [one.name for one in CHECKS]


def test_what_is_right_passes(tmp_path):
    report = check_method(written(tmp_path, "pass"), {"power": "2"})
    assert failed(report) == set()
    found = statuses(report)
    assert report.title == "good(power=2.0) on 12 tiny models and the built-in tasks"
    assert {check for check, status in found.items() if status == "skipped"} <= {"completeness", "device"}
    by_name = {finding.check: finding for finding in report.findings}
    assert by_name["models"].facts["not on"] == ["bart"]
    assert set(by_name["recovery"].facts["gain in average precision"]) >= {"xor_cues", "majority"}
    json.dumps(report.to_json())


def test_label_sensitivity_and_random_numbers(tmp_path):
    report = check_method(written(tmp_path, "scores = batch.input_ids * batch.attention_mask * 1.0"), models=("bert",))
    assert "label_sensitivity" in failed(report)
    for line in ("torch.rand(1)", "random.random()", "np.random.random()"):
        report = check_method(written(tmp_path, line), models=("bert",), trained=False)
        assert failed(report) == set()
        assert statuses(report)["random_numbers"] == "warned"


def test_one_model_that_is_not_served_is_no_fault_all_of_them_are(tmp_path):
    line = "if classifier.model.config.model_type == 'bert': raise UnsupportedArchitectureError('not BERT')"
    report = check_method(written(tmp_path, line), models=("bert", "gpt2"), trained=False)
    assert failed(report) == set()
    models = next(finding for finding in report.findings if finding.check == "models")
    assert models.facts == {"answers on": ["gpt2"], "not on": ["bert"]}
    report = check_method(written(tmp_path, line), models=("bert",), trained=False)
    assert failed(report) == {"models"}
    assert "not BERT" in next(finding.reason for finding in report.findings if finding.check == "models")
    assert statuses(report)["determinism"] == "skipped"


UNSAID = {
    "scores = -scores": "signed = False",
    "scores = scores.masked_fill(batch.units == 0, float('nan'))": "name such texts in Attribution.failed",
}


@pytest.mark.parametrize("line", UNSAID)
def test_scores_that_nobody_can_rank_fail_where_the_method_does_not_name_the_texts(line, tmp_path):
    report = check_method(written(tmp_path, line), models=("bert",), trained=False)
    assert failed(report) >= {"models", "answers"}
    by_name = {finding.check: finding.reason for finding in report.findings}
    assert UNSAID[line] in by_name["answers"]
    assert by_name["models"].startswith("No text has scores on any of them; the first: ")


class Silent(Method):
    """Has no answer for some of the texts."""

    name, family, signed = "silent", "gradient", True
    of = 1

    def attribute(self, classifier, batch):
        return batch.input_ids * batch.attention_mask * 1.0

    def explain(self, classifier, batch):
        return Attribution(self.attribute(classifier, batch), {}, dict.fromkeys(range(0, len(batch), self.of), "no"))


@pytest.mark.parametrize(("every", "fails"), [(1, True), (2, False)])
def test_a_method_without_any_answer_fails_one_with_some_does_not(every, fails):
    found = Found()
    subject = Subject(type("Silent", (Silent,), {"of": every})(), models=("bert", "llama"), trained=False)
    next(check for check in CHECKS if check.name == "models").run(subject, found)
    assert bool(found.failures) == fails


def test_a_sign_that_is_never_used_is_said(tmp_path):
    path = tmp_path / "good.py"
    path.write_text(textwrap.dedent(GOOD).format("pass").replace('"gradient", False', '"gradient", True'))
    report = check_method(str(path), models=("bert", "gpt2"), trained=False)
    found = next(finding for finding in report.findings if finding.check == "answers")
    assert (found.status, found.reason) == ("warned", "The class says signed = True, and no score is below 0.")
    assert statuses(check_method("gradient_x_input", models=("bert",), trained=False))["answers"] == "passed"


def test_what_could_not_be_tried_is_not_passed():
    subject = Subject(Silent(), models=("bert",), trained=False)
    for name in ("lengths", "pairs", "precision"):
        found = Found()
        next(check for check in CHECKS if check.name == name).run(subject, found)
        assert found.skips, name


def test_what_a_method_changes_outside_of_the_model_is_seen(tmp_path, monkeypatch):
    from transformers import BertForSequenceClassification

    def reason(line):
        report = check_method(written(tmp_path, line), models=("bert",), trained=False)
        assert "model_unchanged" in failed(report)
        return next(finding.reason for finding in report.findings if finding.check == "model_unchanged")

    try:
        assert reason("torch.set_grad_enabled(False)").endswith("not as before: torch's gradient mode")
    finally:
        torch.set_grad_enabled(True)
    try:
        assert "torch's default precision" in reason("torch.set_default_dtype(torch.float64)")
    finally:
        torch.set_default_dtype(torch.float32)
    monkeypatch.setattr(BertForSequenceClassification, "forward", BertForSequenceClassification.forward)
    patch = "cls = type(classifier.model); f = cls.forward; cls.forward = lambda self, *a, **k: f(self, *a, **k)"
    assert reason(patch).endswith("not as before: forward methods")


def test_a_method_about_no_label_has_the_same_scores_for_every_label(tmp_path):
    path = tmp_path / "good.py"
    path.write_text(textwrap.dedent(GOOD.replace("{}\n            return scores", "return scores\n\n" + PROPERTY)))
    report = check_method(str(path), models=("bert",), trained=False)
    assert failed(report) == {"label_sensitivity"}
    assert check_method("raw_attention", models=("bert",), trained=False).passed


def test_declarations(tmp_path):
    path = tmp_path / "bare.py"
    path.write_text(textwrap.dedent(GOOD).format("pass").replace('"good"', '"bare"'))
    text = path.read_text()
    for gone, said in (("Source:", 'no "Source:"'), ("Unsigned", "does not say"), ("power: Of", "parameters: power")):
        path.write_text(text.replace(gone, "…"))
        report = check_method(str(path), models=(), trained=False)
        assert "declarations" in failed(report)
        assert said in next(finding.reason for finding in report.findings if finding.check == "declarations")


def test_what_cannot_be_loaded_is_a_finding(tmp_path):
    for content in ("x = 1", "import nothing_of_that_name", "raise SystemExit(3)", "def :"):
        (tmp_path / "bad.py").write_text(content)
        report = check_method(str(tmp_path / "bad.py"))
        assert (failed(report), len(report.findings)) == ({"file"}, 1)
    with pytest.raises(UnknownNameError):
        check_method("gradiant")
    with pytest.raises(UnknownNameError):
        check_method("gradient", {"power": "1"})
    with pytest.raises(ParameterError):
        check_method("integrated_gradients", {"n_steps": "0"})


class Aims(Method):
    """Says what it was told to.

    Source: none. Signed.
    """

    name, family, signed = "aims", "gradient", True

    def attribute(self, classifier, batch):
        evidence = torch.from_numpy(np.random.default_rng(len(batch)).random(batch.input_ids.shape))
        return evidence * batch.attention_mask


def sense(method):
    found = Found()
    next(check for check in CHECKS if check.name == "recovery").run(Subject(method), found)
    return found


def test_recovery_is_held_against_chance_and_against_what_is_known():
    assert sense(load_method("occlusion")).failures == []
    assert "not above 0" in sense(Aims()).failures[0]
    known = type("Aims", (Aims,), {"weakness": "It looks at nothing."})()
    assert sense(known).failures == []
    assert sense(known).warnings == ["Known: It looks at nothing."]
    better = type("Occlusion", (type(load_method("occlusion")),), {"weakness": "None."})()
    assert sense(better).warnings == ["It does better than its attribute weakness says."]


def test_a_wrong_sign_on_one_task_and_no_answer_on_one_are_said_whatever_the_mean():
    class Spoiled(Method):
        """Occlusion, with what is wrong on one task."""

        name, family, signed = "spoiled", "perturbation", True
        silent: bool = False

        def attribute(self, classifier, batch):
            scores = load_method("occlusion").attribute(classifier, batch)
            if classifier.name != "majority":
                return scores
            if self.silent:
                raise UnsupportedArchitectureError("no")
            return -scores

    for silent, said in ((False, "Worse than a random order on majority."), (True, "No answer on majority.")):
        found = sense(Spoiled(silent=silent))
        assert (found.failures, found.warnings) == ([], [said])


def test_what_is_no_explanation_is_held_to_no_evidence():
    assert "no explanation that is ranked" in sense(load_method("random")).skips[0]


def test_completeness_is_judged_on_trained_models():
    class Claims(Method):
        """Claims that all adds up."""

        name, family, signed = "claims", "gradient", True
        share: float = 0.0

        def attribute(self, classifier, batch):
            return batch.attention_mask.double()

        def explain(self, classifier, batch):
            return Attribution(self.attribute(classifier, batch), {COMPLETENESS: torch.full((len(batch),), self.share)})

    check = next(check for check in CHECKS if check.name == "completeness")
    for share, fails in ((0.04, False), (0.06, True), (float("nan"), True)):
        found = Found()
        check.run(Subject(Claims(share=share), models=("bert",)), found)
        assert bool(found.failures) == fails == bool(found.warnings)


def test_a_random_order_has_the_expected_average_precision():
    generator = np.random.default_rng(0)
    for units, evidence in ((1, 1), (5, 1), (9, 3), (6, 6)):
        marked = np.arange(units) < evidence
        drawn = [average_precision(generator.permutation(units), marked) for _ in range(20_000)]
        assert expected_average_precision(units, evidence) == pytest.approx(np.mean(drawn), abs=0.005)


def test_a_trial_leaves_the_global_random_numbers_alone():
    torch.manual_seed(3)
    random.seed(3)
    expected = torch.rand(1), random.random()
    torch.manual_seed(3)
    random.seed(3)
    trial = Trial(load_method("gradient"), "bert")
    assert trial.answer.scores.shape == trial.batch.input_ids.shape and trial.gates
    assert (torch.rand(1), random.random()) == expected


def test_a_trials_model_is_its_own():
    one, other = (Trial(load_method("gradient"), "bert") for _ in range(2))
    assert one.classifier.model is not other.classifier.model
    assert one.classifier.weights_hash == other.classifier.weights_hash
    assert set(MODELS) > {"bart", "deberta-v2"}
    assert dataclasses.is_dataclass(Subject)
