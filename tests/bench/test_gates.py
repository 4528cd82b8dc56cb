"""Gates: each fails on a method that breaks its promise, and on no other."""

import random

import numpy as np
import pytest
import torch

from whybench import Attribution, Method, load_method
from whybench.bench.choices import GATES
from whybench.bench.gates import COMPLETENESS, ModelState, difference, gates
from whybench.bench.schema import Coverage, Failure
from whybench.bench.tiny_models import TEXTS, fresh_classifier, tiny_classifier

ALL_SCORED = Coverage(examples=4, scored=4, truncated=0)
RUN = [name for name in GATES if name != "randomised_weights"]


class Good(Method):
    """The gradient's norm, and whatever a subclass adds to it."""

    name, family, signed = "good", "gradient", True

    def attribute(self, classifier, batch):
        _, gradient = classifier.embedding_gradient(batch)
        return self.spoiled(gradient.norm(dim=-1) * batch.attention_mask, classifier, batch)

    def spoiled(self, scores, classifier, batch):
        return scores


class Chance(Good):
    """Not the same twice, even with one seed."""

    name = "chance"

    def spoiled(self, scores, classifier, batch):
        return scores + torch.from_numpy(np.random.default_rng().random(scores.shape))


class ByBatch(Good):
    """Divided by the largest score of the batch."""

    name = "by_batch"

    def spoiled(self, scores, classifier, batch):
        return scores + scores.max()


class ByPadding(Good):
    """Divided by the batch's width."""

    name = "by_padding"

    def spoiled(self, scores, classifier, batch):
        return scores + scores.shape[1]


class SeededByTorch(Good):
    """Noise from torch's generator: the same twice, and another in another batch."""

    name = "seeded_by_torch"

    def spoiled(self, scores, classifier, batch):
        return scores + torch.rand(scores.shape) + random.random()


class OneLabel(Good):
    """Says the same of every label."""

    name = "one_label"

    def spoiled(self, scores, classifier, batch):
        return batch.input_ids.double()


class ChangesWeights(Good):
    """Leaves one weight a little larger."""

    name = "changes_weights"

    def spoiled(self, scores, classifier, batch):
        with torch.no_grad():
            next(classifier.model.parameters()).data.view(-1)[3] += 1e-3
        return scores


class LeavesHook(Good):
    """Leaves a hook on the embeddings."""

    name = "leaves_hook"

    def spoiled(self, scores, classifier, batch):
        classifier.embedding_layer.register_forward_hook(lambda *_: None)
        return scores


class LeavesMode(Good):
    """Leaves one module in training mode."""

    name = "leaves_mode"

    def spoiled(self, scores, classifier, batch):
        list(classifier.model.modules())[-1].train()
        return scores


class LeavesGradient(Good):
    """Leaves gradients on the weights."""

    name = "leaves_gradient"

    def spoiled(self, scores, classifier, batch):
        with torch.enable_grad():
            classifier.logits(batch).sum().backward()
        return scores


class Raises(Good):
    """Answers whole batches only."""

    name = "raises"

    def spoiled(self, scores, classifier, batch):
        if len(batch) == 1:
            raise IndexError("one example is too few")
        return scores


def outcomes(method, classifier=None, coverage=ALL_SCORED, report=None):
    classifier = classifier or tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    batch = batch.with_target(classifier.target(batch))
    state = ModelState(classifier.model)
    method.explain(classifier, batch)
    found = gates(method, classifier, batch, coverage, report or {}, state, 0)
    assert set(found) == set(RUN)
    return found


def failed(found):
    return {name for name, outcome in found.items() if outcome.status == "failed"}


def test_a_good_method_passes():
    found = outcomes(Good())
    assert not failed(found)
    assert found["completeness"].status == "not_applicable"
    assert found["label_sensitivity"].value > found["label_sensitivity"].limit
    assert found["padding_invariance"].value < 1e-4


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        (Chance(), {"determinism", "batch_invariance", "padding_invariance"}),
        (ByBatch(), {"batch_invariance"}),
        (ByPadding(), {"batch_invariance", "padding_invariance"}),
        (SeededByTorch(), {"batch_invariance", "padding_invariance"}),
        (OneLabel(), {"label_sensitivity"}),
        (Raises(), {"batch_invariance"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_broken_promise_is_found(method, wanted):
    assert failed(outcomes(method)) == wanted


def test_an_unsigned_map_of_a_next_token_is_the_same_for_both_labels():
    from whybench.bench.next_token import NextTokenModel
    from whybench.bench.registry import load_task

    task = load_task("induction")
    model = NextTokenModel.from_pretrained(task.default_model, device="cpu")
    batch = model.encode_examples(task.load(None, None).examples[:4])
    batch = batch.with_target(model.target(batch))
    for name, status in (("gradient", "not_applicable"), ("gradient_x_input", "passed"), ("occlusion", "passed")):
        found = gates(load_method(name), model, batch, ALL_SCORED, {}, ModelState(model.model), 0)
        assert found["label_sensitivity"].status == status, name
        assert not failed(found)


def test_what_could_not_be_tried_is_said():
    found = outcomes(Raises())
    assert found["batch_invariance"].reason.startswith("IndexError: one example is too few")
    assert found["padding_invariance"].status == found["label_sensitivity"].status == "not_run"


@pytest.mark.parametrize(
    ("method", "part"),
    [
        (ChangesWeights(), "weights"),
        (LeavesHook(), "hooks"),
        (LeavesMode(), "mode"),
        (LeavesGradient(), "gradients"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_model_that_is_not_left_as_it_was_is_found(method, part):
    found = outcomes(method, fresh_classifier("bert"))
    assert found["model_unchanged"].status == "failed"
    assert part in found["model_unchanged"].reason


def test_any_one_bit_of_the_weights_is_seen():
    model = fresh_classifier("bert").model
    for parameter in model.parameters():
        state = ModelState(model)
        assert not state.changed()
        flat = parameter.data.view(-1).view(torch.int32)
        flat[len(flat) // 2] ^= 1
        assert state.changed() == "weights"


def test_completeness_and_coverage():
    report = {COMPLETENESS: np.array([0.0, 0.04, 0.04, 9.0])}
    assert outcomes(Good(), report=report)["completeness"].status == "passed"
    found = outcomes(Good(), report={COMPLETENESS: np.array([0.06, 0.06, 0.0])})["completeness"]
    assert (found.status, found.value, found.limit) == ("failed", 0.06, 0.05)
    partly = Coverage(examples=4, scored=3, truncated=0, failed=(Failure(example="a", reason="none"),))
    assert outcomes(Good(), coverage=partly)["coverage"].reason == "1 of 4 examples have no scores"


class SomeFail(Good):
    """Has an answer for short texts."""

    name = "some_fail"

    def explain(self, classifier, batch):
        long = (batch.lengths() > 12).nonzero().flatten().tolist()
        return Attribution(self.attribute(classifier, batch), failed=dict.fromkeys(long, "too long"))


class NoneAnswered(Good):
    """Has no answer."""

    name = "none_answered"

    def explain(self, classifier, batch):
        return Attribution(self.attribute(classifier, batch), failed=dict.fromkeys(range(len(batch)), "no"))


def test_examples_without_an_answer_are_no_difference():
    assert not failed(outcomes(SomeFail()))
    assert outcomes(NoneAnswered())["determinism"].status == "not_run"


def test_difference_is_relative_and_a_nan_is_no_number():
    assert difference(np.array([1.0, 200.0]), np.array([1.0, 199.0])) == pytest.approx(1 / 200)
    assert difference(np.zeros(3), np.zeros(3)) == 0
    assert difference(np.array([np.nan, 1.0]), np.array([0.0, 1.0])) == np.inf


def test_the_global_random_states_stay():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002
    outcomes(Good())
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before  # noqa: NPY002
