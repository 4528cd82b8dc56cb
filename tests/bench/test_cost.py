import time

import pytest
import torch
from torch import nn

from whybench import Method, load_method
from whybench.bench.cost import counting, explain_and_measure, milliseconds, peak_memory
from whybench.bench.listing import entries
from whybench.bench.tiny_models import FAMILIES, TEXTS, tiny_classifier

CPU = torch.device("cpu")


def test_milliseconds():
    answer, spent = milliseconds(lambda: time.sleep(0.02) or "done", CPU)
    assert answer == "done"
    assert 20 <= spent < 2000


def test_peak_memory_is_what_tensors_hold_at_once():
    start = torch.zeros(1000)

    def work():
        first = start + 1  # 4000 bytes
        second = first * 2  # 8000 together
        del first  # 4000
        view = second.view(10, 100)  # the same storage
        return view + 1  # 8000 together

    assert peak_memory(work, CPU) == 8000
    assert peak_memory(lambda: start.view(10, 100), CPU) == 0


def test_counts_of_a_layer_are_those_on_paper():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 3, bias=False)

        def forward(self, x):
            return type("Output", (), {"logits": self.linear(x)})()

    head = Head()
    x = torch.ones(5, 8, requires_grad=True)
    with counting(head) as counts:
        head(x).logits.sum().backward()
    assert (counts.forward, counts.backward) == (5, 5)
    # 2·5·8·3 forward, and as much again for each of the two gradients
    assert counts.flops == 3 * 2 * 5 * 8 * 3
    assert not head._forward_hooks


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_every_architecture_are_counted(family):
    """Where word embeddings go straight into the first layer (Llama's kin), torch's tracker of modules would refuse."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS[:2]).with_target(torch.tensor([0, 1]))
    with counting(classifier.model) as plain:
        classifier.probabilities(batch)
    for name in ("gradient", "integrated_gradients"):
        with counting(classifier.model) as counts:
            load_method(name, **({} if name == "gradient" else {"n_steps": 3, "max_steps": 3})).attribute(
                classifier, batch
            )
        assert counts.backward == 2 * (1 if name == "gradient" else 3)
        # a gradient for the inputs alone: as many products again as the forward pass has, those of attention twice
        assert counts.flops > 1.9 * plain.flops


@pytest.mark.parametrize(
    ("name", "parameters", "forward", "backward"),
    [
        ("random", {}, 0, 0),
        ("gradient", {}, 1, 1),
        ("gradient_x_input", {}, 1, 1),
        ("raw_attention", {}, 1, 0),
        ("raw_attention", {"aggregation": "gradient"}, 1, 1),
        ("efficient_attention", {}, 1, 0),
        ("efficient_attention", {"aggregation": "gradient"}, 1, 1),
        # the target is given; the steps, two ends for the delta, and two to see the layer's output
        ("integrated_gradients", {"n_steps": 6, "max_steps": 6}, 10, 6),
    ],
)
def test_counts_per_example(xor_classifier, xor_batch, name, parameters, forward, backward):
    some = xor_batch.select(range(3))
    some = some.with_target(xor_classifier.probabilities(some).argmax(-1))
    _, cost = explain_and_measure(load_method(name, **parameters), xor_classifier, [some])
    assert (cost.forward_passes, cost.backward_passes) == (forward, backward)
    assert (cost.flops > 0) == (forward > 0)
    _, again = explain_and_measure(load_method(name, **parameters), xor_classifier, [some])
    assert (again.flops, again.peak_memory_bytes) == (cost.flops, cost.peak_memory_bytes)


def test_fused_attention_is_counted_like_the_plain_one(xor_classifier, xor_batch):
    fused, plain = [], []
    for counted, implementation in ((fused, "sdpa"), (plain, "eager")):
        before = xor_classifier.attention_implementation
        xor_classifier.model.set_attn_implementation(implementation)
        try:
            with counting(xor_classifier.model) as counts:
                xor_classifier.probabilities(xor_batch)
            counted.append(counts.flops)
        finally:
            xor_classifier.model.set_attn_implementation(before)
    assert fused == plain


def test_occlusion_costs_a_pass_a_unit(xor_classifier, xor_batch):
    _, cost = explain_and_measure(load_method("occlusion"), xor_classifier, [xor_batch])
    # examples 0, 2, 3, 5, 6, 8, 9 and 11 of the twelve
    expected = sum(n + 1 for n in xor_batch.unit_counts()[[0, 2, 3, 5, 6, 8, 9, 11]].tolist()) / 8
    # a distinct input is computed once: two equal words next to one another would make it fewer
    assert expected - 1 <= cost.forward_passes <= expected


def test_a_method_that_sleeps_is_seen_to(xor_classifier, xor_batch):
    class Sleepy(Method):
        name, family, signed = "sleepy", "reference", True

        def attribute(self, classifier, batch):
            time.sleep(0.05)
            return torch.zeros(batch.input_ids.shape)

    batches = [xor_batch.select(range(4)), xor_batch.select(range(4, 12))]
    answers, cost = explain_and_measure(Sleepy(), xor_classifier, batches)
    assert [len(a.scores) for a in answers] == [4, 8]
    assert cost.timer == "perf_counter"
    assert 50 / 8 <= cost.p50_ms <= cost.p95_ms < 500
    assert cost.p95_ms >= 50 / 4
    assert cost.examples_per_second < 12 / 0.1
    assert cost.forward_equivalents > 1
    assert (cost.examples, cost.batch_examples, cost.counted_examples) == (12, 8, 8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize(
    "name", [e.name for e in entries("method") if e.fact("family") != "control" and e.name != "shapley"]
)
def test_cuda_events_and_memory(xor_classifier, xor_batch, name):
    from whybench import Classifier
    from whybench.tasks.builtin import checkpoint

    classifier = Classifier.from_pretrained(checkpoint("xor_cues"), device="cuda")
    answers, cost = explain_and_measure(load_method(name), classifier, [classifier.to_device(xor_batch)])
    expected = load_method(name).attribute(xor_classifier, xor_batch).double()
    assert torch.allclose(answers[0].scores.cpu().double(), expected, rtol=1e-2, atol=1e-4)
    assert cost.timer == "cuda_event"
    assert cost.peak_memory_bytes >= 0
    assert cost.p50_ms > 0
