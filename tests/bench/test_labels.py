"""Labels by their names: which index of the model an example's label is, and where that cannot be known."""

import pytest

from whybench import Example
from whybench.bench.errors import LabelError
from whybench.bench.labels import in_model_order

NLI = ("entailment", "neutral", "contradiction")


def aligned(labels, model_labels, *given):
    examples = [Example(f"e{i}", "text", label=label) for i, label in enumerate(given)]
    return [e.label for e in in_model_order(examples, labels, model_labels, task="mine", model="theirs")]


@pytest.mark.parametrize(
    ("labels", "model_labels", "expected"),
    [
        (NLI, NLI, [0, 1, 2]),
        (NLI, ("CONTRADICTION", "ENTAILMENT", "NEUTRAL"), [1, 2, 0]),
        (("World", "Sci/Tech"), ("sci_tech", "world"), [1, 0]),
        (("negative", "positive"), ("negative", "neutral", "positive"), [0, 2]),
        (("negative", "positive"), ("LABEL_0", "LABEL_1"), [0, 1]),
        (("negative", "positive"), ("0", "1"), [0, 1]),
        (("negative", "positive"), ("pos", "neg"), [1, 0]),
        (("World", "Sports", "Business", "Sci/Tech"), ("world", "sports", "business", "sci"), [0, 1, 2, 3]),
        (("C", "C."), ("C.", "C"), [1, 0]),
    ],
)
def test_every_label_has_its_place(labels, model_labels, expected):
    assert aligned(labels, model_labels, *range(len(labels))) == expected
    assert aligned(labels, model_labels, None) == [None]


def test_all_but_the_label_stays():
    (example,) = in_model_order([Example("a", "one", "two", 0, ())], ("x", "y"), ("y", "x"), task="t", model="m")
    assert example == Example("a", "one", "two", 1, ())


@pytest.mark.parametrize(
    ("labels", "model_labels", "label", "message"),
    [
        (("a", "b", "c"), ("c", "a"), 1, r"'e0' of mine has the label 1 \(b\), .* mine has 3 labels .* theirs has 2"),
        (("a", "b"), ("a", "b"), 2, "has the label 2, which is none of the model's"),
        (("a", "b"), ("a", "b"), -1, "has the label -1, which"),
        (("a", "b", "c"), ("LABEL_0", "LABEL_1"), 0, r"has the label 0 \(a\).*id2label"),
        (("a", "b"), ("x", "y", "z"), 0, r"has the label 0 \(a\)"),
        # as many, but who knows which is which
        (("negative", "positive"), ("bad", "good"), 0, r"has the label 0 \(negative\).*id2label"),
        (("rain", "raining"), ("rai", "dry"), 0, r"has the label 0 \(rain\)"),
    ],
)
def test_a_label_that_the_model_does_not_have(labels, model_labels, label, message):
    with pytest.raises(LabelError, match=message):
        aligned(labels, model_labels, label)
    assert aligned(labels, model_labels, None) == [None]
