"""What an explanation costs: device time against a plain forward pass, memory, and exact counts."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from torch.utils.weak import WeakIdKeyDictionary

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.engine import Progress
from whybench.bench.method import Attribution, Method
from whybench.bench.schema import Cost

COUNTED_EXAMPLES = 8

# torch counts its fused attention on GPUs, but not the processor's: the same formulas serve for it
_CPU_ATTENTION: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: (
        lambda query, key, value, *_, **__: sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    ),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda gradient, query, key, value, *_, **__: sdpa_backward_flop_count(  # type: ignore[no-untyped-call]
            gradient, query, key, value
        )
    ),
}


def milliseconds(work: Callable[[], Any], device: torch.device) -> tuple[Any, float]:
    """Run something and time it: CUDA events on a GPU, else ``perf_counter``; synchronised before and after."""
    if device.type == "cuda":
        # events are recorded on the current device's stream, which need not be this device's
        with torch.cuda.device(device):
            start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            stop = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            torch.cuda.synchronize(device)
            start.record()
            answer = work()
            stop.record()
            torch.cuda.synchronize(device)
            return answer, float(start.elapsed_time(stop))
    began = time.perf_counter()
    answer = work()
    return answer, (time.perf_counter() - began) * 1000


def timer_of(device: torch.device) -> Literal["cuda_event", "perf_counter"]:
    """Name of the clock that `milliseconds` uses on the device."""
    return "cuda_event" if device.type == "cuda" else "perf_counter"


@dataclass
class Counts:
    """Exact counts of a stretch of work; a pass of a batch of b inputs counts b.

    Attributes:
        forward: Inputs that went forward through the model.
        backward: Inputs whose logits received a gradient.
        flops: Floating-point operations of matrix products, convolutions and attention, forward and backward, as
            torch's FlopCounterMode counts them; a solver's factorisations are not in it.
    """

    forward: int = 0
    backward: int = 0
    flops: int = 0


class _NoModules:
    """In place of torch's tracker of modules: only totals are read.

    The tracker hooks into the gradients of every module's inputs, and torch refuses that where such an input is what a
    gradient is asked for, as word embeddings are that go straight into a decoder's first layer.
    """

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def counting(model: nn.Module) -> Iterator[Counts]:
    """Count the model's passes and the operations in this block."""
    counts = Counts()

    def went_backward(gradient: Tensor) -> None:
        counts.backward += gradient.shape[0]

    def went_forward(_: nn.Module, __: Any, output: Any) -> None:
        counts.forward += output.logits.shape[0]
        if output.logits.requires_grad:
            output.logits.register_hook(went_backward)

    handle = model.register_forward_hook(went_forward)
    try:
        counter = FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION)
        counter.mod_tracker = _NoModules()  # type: ignore[assignment]
        with counter as flops:
            yield counts
    finally:
        handle.remove()
    counts.flops = flops.get_total_flops()


def peak_memory(work: Callable[[], Any], device: torch.device) -> int:
    """Most bytes of tensors that the work holds at once, beyond what there was before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device)) - before
    with _HeldTensors() as held:
        work()
    most: int = held.most
    return most


class _HeldTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that are made inside the block and not yet released, not those of before."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen: WeakIdKeyDictionary = WeakIdKeyDictionary()
        self._now = self.most = 0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):
                self._seen[tensor.untyped_storage()] = 0
        answer = func(*args, **kwargs)
        for tensor in tree_leaves(answer):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self._seen:
                size = storage.nbytes()
                self._seen[storage] = size
                self._now += size
                self.most = max(self.most, self._now)
                weakref.finalize(storage, self._release, size).atexit = False
        return answer

    def _release(self, size: int) -> None:
        self._now -= size


def explain_and_measure(
    method: Method, classifier: Classifier, batches: Sequence[Batch], progress: Progress | None = None
) -> tuple[list[Attribution], Cost]:
    """Explain all batches, and measure what it costs.

    A first example warms up. The counts come from a few examples, spread evenly over all and one at a time, so that
    no padding is counted; peak memory from another pass over the batch with most tokens; times from the pass whose
    answers are returned, each batch beside a plain forward pass of the same batch.

    Args:
        method: The method.
        classifier: The classifier.
        batches: At least one batch.
        progress: Called with the number of examples done and to do, after every batch.
    """
    device = classifier.device
    largest = max(batches, key=lambda batch: batch.input_ids.numel())
    few = _spread(batches, COUNTED_EXAMPLES)
    classifier.probabilities(largest)
    method.explain(classifier, few[0])
    with counting(classifier.model) as counts:
        for example in few:
            method.explain(classifier, example)
    memory = peak_memory(lambda: method.explain(classifier, largest), device)

    answers: list[Attribution] = []
    spent: list[float] = []
    plain: list[float] = []
    total = sum(len(batch) for batch in batches)
    done = 0
    for batch in batches:
        _, forward = milliseconds(lambda batch=batch: classifier.probabilities(batch), device)  # type: ignore[misc]
        answer, own = milliseconds(lambda batch=batch: method.explain(classifier, batch), device)  # type: ignore[misc]
        answers.append(answer)
        spent.append(own)
        plain.append(forward)
        done += len(batch)
        if progress is not None:
            progress(done, total)

    sizes = [len(batch) for batch in batches]
    per_example = np.repeat(np.array(spent) / sizes, sizes)
    cost = Cost(
        timer=timer_of(device),
        examples=total,
        batch_examples=max(sizes),
        batch_tokens=max(int(batch.input_ids.numel()) for batch in batches),
        p50_ms=float(np.percentile(per_example, 50)),
        p95_ms=float(np.percentile(per_example, 95)),
        examples_per_second=1000 * total / sum(spent),
        forward_equivalents=sum(spent) / sum(plain),
        peak_memory_bytes=memory,
        counted_examples=len(few),
        forward_passes=counts.forward / len(few),
        backward_passes=counts.backward / len(few),
        flops=counts.flops / len(few),
    )
    return answers, cost


def _spread(batches: Sequence[Batch], count: int) -> list[Batch]:
    """Some examples, each a batch of its own, at even distances from the first to the last."""
    places = [(batch, index) for batch in batches for index in range(len(batch))]
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return [batch.select([index]) for batch, index in (places[place] for place in chosen)]
