"""Language models explained for their next token, against the full logits of plain transformers calls."""

import functools
import json

import numpy as np
import pytest
import torch
from tokenizers import processors
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM, AutoTokenizer

import whybench
from whybench.bench.causal.shared import Shared
from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import EmptyTextError, InputError, ModelError, UnsupportedArchitectureError
from whybench.bench.listing import entries
from whybench.bench.metrics import METRICS
from whybench.bench.next_token import NextTokenModel
from whybench.bench.operators import Remover
from whybench.bench.task import Example
from whybench.bench.tiny_models import TEXTS, build_config, build_model, build_tokenizer, fresh_classifier
from whybench.tests.models import state_of

FAMILIES = ("gpt2", "llama", "qwen3")
TEXTS = [text.lower().rstrip(".") for text in TEXTS]
CONTRASTS = [(" great", " slow"), (" film", " the"), (" cast", " bad"), (" a", " film")]


def build_lm(family, tokenizer, *, seed=0, **changes):
    """A random language model with weights far from 0, biases and norms included."""
    model = AutoModelForCausalLM.from_config(build_config(family, tokenizer, **changes))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            norm = "norm" in name or ".ln_" in name
            parameter.copy_((0.2 * noise + norm * ("bias" not in name)) if parameter.dim() == 1 else noise / 4)
    return model.eval()


def fresh(family, **changes):
    tokenizer = build_tokenizer(family)
    return NextTokenModel(build_lm(family, tokenizer, **changes), tokenizer, name=f"tiny-{family}")


@functools.cache
def tiny(family):
    return fresh(family)


@pytest.fixture(params=FAMILIES)
def model(request):
    return tiny(request.param)


@pytest.fixture
def batch(model):
    return model.encode(TEXTS, contrasts=CONTRASTS)


def token_of(model, text):
    (token,) = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    return token


def plain_logits(model, ids):
    """All logits after the last of some ids, ``[vocabulary]``."""
    ids = torch.as_tensor(ids, dtype=torch.long)[None]
    return model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]


def plain_probability(model, ids, contrast):
    """By the whole vocabulary's log-softmax, of which two entries are taken."""
    with torch.no_grad():
        whole = log_softmax(plain_logits(model, ids).double(), dim=-1)
    first, second = (whole[token].exp() for token in contrast)
    return float(first / (first + second))


# ---- forward passes -------------------------------------------------------------------------------------------------


def test_probabilities_are_those_of_the_whole_vocabulary(model, batch):
    probabilities = model.probabilities(batch)
    for i, (text, contrast) in enumerate(zip(TEXTS, CONTRASTS, strict=True)):
        pair = [token_of(model, words) for words in contrast]
        assert batch.contrast[i].tolist() == pair
        expected = plain_probability(model, model.tokenizer(text)["input_ids"], pair)
        assert float(probabilities[i, 0]) == pytest.approx(expected, abs=2e-5)
        assert float(probabilities[i].sum()) == pytest.approx(1)
    assert probabilities[:, 0].std() > 0.05
    assert model.labels == ("continuation", "foil")
    assert batch.target.tolist() == [0] * len(TEXTS)
    assert torch.allclose(model.logits(batch).sum(dim=1), torch.zeros(len(TEXTS)), atol=1e-5)


def test_only_one_position_reaches_the_head_for_words(model, batch):
    seen = []
    handle = model.model.get_output_embeddings().register_forward_hook(lambda _, __, out: seen.append(out.shape))
    model.probabilities(batch)
    handle.remove()
    assert seen == [(len(TEXTS), 1, len(model.tokenizer))]


def test_what_a_model_does_to_its_logits_is_done():
    """Gemma 2 caps them."""
    tokenizer = build_tokenizer("llama")
    lm = build_lm("gemma2", tokenizer, head_dim=8, num_key_value_heads=2, final_logit_softcapping=2.0)
    model = NextTokenModel(lm, tokenizer)
    batch = model.encode(TEXTS, contrasts=CONTRASTS)
    for i, text in enumerate(TEXTS):
        expected = plain_probability(model, tokenizer(text)["input_ids"], batch.contrast[i].tolist())
        assert float(model.probabilities(batch)[i, 0]) == pytest.approx(expected, abs=2e-5)
    assert plain_logits(model, tokenizer(TEXTS[0])["input_ids"]).abs().max() <= 2


@pytest.mark.parametrize("family", FAMILIES)
def test_left_padding_by_transformers_gives_the_same(family):
    """As it is done for generation: padding on the left, positions counted from the first real token."""
    model, tokenizer = fresh(family), build_tokenizer(family)
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(model.pad_id)
    texts = [*TEXTS[:3], "a great" + tokenizer.pad_token]
    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    places = (encoded["attention_mask"].cumsum(dim=1) - 1).clamp_min(0)
    with torch.no_grad():
        left = model.model(**encoded, position_ids=places).logits[:, -1]
    own = NextTokenModel(model.model, tokenizer)
    batch = own.encode(texts, contrasts=CONTRASTS)
    expected = left.gather(1, batch.contrast).softmax(dim=1)
    torch.testing.assert_close(own.probabilities(batch), expected, rtol=0, atol=2e-5)
    # the text's own token is read, though it is the one that pads
    assert own.readout_weights(batch).argmax(dim=1).tolist() == (batch.lengths() - 1).tolist()


def test_gradients_are_of_the_difference(model, batch):
    before = state_of(model.model)
    _, gradient = model.embedding_gradient(batch)
    assert state_of(model.model) == before
    for i, text in enumerate(TEXTS):
        ids = torch.tensor([model.tokenizer(text)["input_ids"]])
        leaf = model.model.get_input_embeddings()(ids).detach().requires_grad_()
        logits = model.model(inputs_embeds=leaf).logits[0, -1]
        first, second = batch.contrast[i].tolist()
        (expected,) = torch.autograd.grad(logits[first] - logits[second], leaf)
        n, scale = ids.shape[1], float(expected.abs().max())
        assert scale > 1e-3
        torch.testing.assert_close(2 * gradient[i, :n], expected[0], rtol=0, atol=2e-4 * scale)
        assert (gradient[i, n:] == 0).all()
    _, other = model.embedding_gradient(batch.with_target(torch.ones(len(TEXTS), dtype=torch.long)))
    assert torch.allclose(other, -gradient, atol=1e-6)


def test_attention_is_read_at_the_last_real_token(model, batch):
    with torch.no_grad():
        record = model.attention(batch)
    scores = whybench.load_method("raw_attention").attribute(model, batch)
    for i, count in enumerate(batch.lengths().tolist()):
        expected = record.weights[-1][i, :, count - 1].mean(dim=0).double()
        torch.testing.assert_close(scores[i], expected * batch.attention_mask[i], rtol=0, atol=1e-6)
    logits = model.replace_attention(batch, list(record.weights))
    torch.testing.assert_close(logits, model.logits(batch), rtol=0, atol=1e-5)


METHODS = [entry.name for entry in entries("method") if entry.fact("family") != "control"]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_explains_and_is_scored(model, batch, name):
    method = whybench.load_method(name)
    if method.serves and model.model.config.model_type not in method.serves:
        with pytest.raises(UnsupportedArchitectureError, match=model.model.config.model_type):
            method.require_served(model)
        return
    # the first text has too many units for exact Shapley values
    batch = batch.select([3, 1] if name == "shapley" else [0, 1, 2, 3])
    attribution = method.explain(model, batch)
    assert not attribution.failed
    assert torch.isfinite(attribution.scores).all()
    alone = method.explain(model, model.encode(TEXTS[1:2], contrasts=CONTRASTS[1:2])).scores[0]
    scale = max(float(attribution.scores[1].abs().max()), 1e-6)
    torch.testing.assert_close(attribution.scores[1, : len(alone)], alone, rtol=0, atol=2e-3 * scale)
    figures = whybench.score(model, batch, attribution.scores, signed=method.signed or method.negative)
    # a random model may lose nothing with all words, so that some metrics are undefined
    defined = [values for figure, values in figures.items() if not METRICS[figure].undefined]
    assert defined and all(torch.isfinite(values).all() for values in defined)


def test_gradients_of_attention_too(model, batch):
    scores = whybench.load_method("raw_attention", aggregation="gradient").attribute(model, batch)
    assert (scores >= 0).all()
    assert (scores.sum(dim=1) > 0).all()


# ---- removal, engine ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["delete", "pad"])
def test_engine_against_plain_forward_passes(operator):
    model = tiny("qwen3")
    # the same text with two contrasts: two answers, though the same ids
    texts, contrasts = [TEXTS[1], TEXTS[0], TEXTS[0]], [CONTRASTS[1], CONTRASTS[0], CONTRASTS[0][::-1]]
    batch = model.encode(texts, contrasts=contrasts, ids=["a", "b", "c"])
    remover = Remover(model, batch, operator)
    random = np.random.default_rng(0)
    sets = [random.random((5, n)) < 0.4 for n in batch.unit_counts().tolist()]
    sets[0][0] = True
    sets[2] = sets[1]
    rows = [row for i, removed in enumerate(sets) for row in remover.perturb(i, removed)]
    engine = ForwardEngine(model, token_budget=64)
    answers = engine.probabilities(rows)
    for place, row in enumerate(rows):
        i = place // 5
        ids, places = torch.tensor(row.ids)[None].long(), torch.arange(len(row.ids))[None]
        if operator == "delete":
            left = ~sets[i][place % 5][batch.units[i, : batch.lengths()[i]].numpy()]
            kept = batch.input_ids[i, : batch.lengths()[i]][torch.from_numpy(left)].tolist()
            assert row.ids.tolist() == (kept or [model.tokenizer.eos_token_id])
        with torch.no_grad():
            mask = torch.tensor(row.mask)[None].long()
            # what is read is what the last token that is left says, wherever it stands
            last = int(mask[0].nonzero().max())
            logits = model.model(input_ids=ids, attention_mask=mask, position_ids=places).logits[0, last]
        expected = logits[batch.contrast[i]].double().softmax(dim=0)
        assert answers[place] == pytest.approx(expected.numpy(), abs=2e-5)
    assert answers[10:] == pytest.approx(1 - answers[5:10], abs=1e-6)
    assert engine.counts.forwarded > len(rows) / 2


def test_flips_are_changes_of_what_the_model_prefers():
    model = tiny("gpt2")
    batch = model.encode(TEXTS, contrasts=CONTRASTS)
    swapped = model.encode(TEXTS, contrasts=[contrast[::-1] for contrast in CONTRASTS])
    scores = torch.rand(batch.input_ids.shape, generator=torch.Generator().manual_seed(1))
    one, other = whybench.score(model, batch, scores), whybench.score(model, swapped, scores)
    assert torch.equal(one["decision_flip"], other["decision_flip"])
    assert torch.allclose(one["comprehensiveness"], -other["comprehensiveness"], atol=1e-6)
    preferred = model.probabilities(batch).argmax(dim=1)
    assert 0 < preferred.sum() < len(TEXTS)
    shared = Shared(ForwardEngine(model), batch, "delete", 0)
    assert [shared.decision(i) for i in range(len(batch))] == preferred.tolist()
    assert isinstance(shared.exact, NextTokenModel)


# ---- texts ----------------------------------------------------------------------------------------------------------


def test_a_prompt_has_nothing_behind_it():
    """Whatever the tokenizer puts there; the text's own special tokens stay."""
    plain, closing = build_tokenizer("llama"), build_tokenizer("llama")
    closing.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    lm = build_lm("llama", plain)
    texts = [*TEXTS[:3], "a great</s>"]
    one, other = (NextTokenModel(lm, tokenizer).encode(texts, contrasts=CONTRASTS) for tokenizer in (plain, closing))
    for name in ("input_ids", "attention_mask", "units", "contrast"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.tokens == other.tokens
    assert one.token_spans == other.token_spans
    assert one.input_ids[:, 0].tolist() == [0] * 4
    assert one.tokens[3][-1] == "</s>"
    longest = NextTokenModel(build_lm("llama", plain, max_position_embeddings=9), closing)
    eight = " the film was great and the cast"
    assert longest.encode([eight], contrasts=[(" a", " bad")]).lengths().tolist() == [8]
    with pytest.raises(InputError, match=r"its text has 9 tokens, and model reads 8.*beginning away"):
        longest.encode([eight + " was"], contrasts=[(" a", " bad")])


def test_contrasts_travel_with_their_texts(model, batch):
    chosen = batch.select([3, 1])
    assert torch.equal(chosen.contrast, batch.contrast[[3, 1]])
    assert chosen.target.tolist() == [0, 0]
    examples = [
        Example(f"e{i}", text, continuation=continuation, foil=foil)
        for i, (text, (continuation, foil)) in enumerate(zip(TEXTS, CONTRASTS, strict=True))
    ]
    made = model.encode_examples(examples)
    assert torch.equal(made.contrast, batch.contrast)
    assert made.ids == ("e0", "e1", "e2", "e3")
    assert model.unusable(examples) == {}


WRONG = [
    (
        "a great ",
        ("film", "joke"),
        r"reads the text's end \('a great '\) otherwise where the continuation 'film'.*space",
    ),
    ("a great", (" film joke", " bad"), r"continuation ' film joke' is \d+ tokens of tiny-llama .*first token alone"),
    ("a great", (" bad", " film joke"), r"foil ' film joke' is \d+ tokens"),
    ("a great", (" film was", " film a"), r"beginning that both share \('Ġfilm'\) to the end of the text"),
    ("a great", (" film", ""), r"foil '' is 0 tokens of tiny-llama \(none\)"),
    ("a great", (" film", " film"), "are the same tokens; give two"),
    ("the film was great " * 30, (" film", " bad"), r"its text has 1\d\d tokens, and tiny-llama reads 48"),
]


@pytest.mark.parametrize(("text", "contrast", "message"), WRONG)
def test_what_is_not_one_token_in_its_place(text, contrast, message):
    model = tiny("llama")
    with pytest.raises(InputError, match=r"example 'x': .*" + message):
        model.encode([text], ids=["x"], contrasts=[contrast])
    good = Example("good", TEXTS[0], continuation=" great", foil=" bad")
    reasons = model.unusable([good, Example("x", text, continuation=contrast[0], foil=contrast[1])])
    assert list(reasons) == ["x"]


def test_other_wrong_inputs():
    model = tiny("llama")
    with pytest.raises(InputError, match="give contrasts"):
        model.encode(TEXTS)
    with pytest.raises(InputError, match="1 contrasts were given for 4 texts"):
        model.encode(TEXTS, contrasts=CONTRASTS[:1])
    for wrong in ("ab", (" a",), (" a", None)):
        with pytest.raises(InputError, match=r"has the contrast .*give \(continuation, foil\)"):
            model.encode(TEXTS[:1], contrasts=[wrong])
    with pytest.raises(InputError, match="was given pairs"):
        model.encode([("a", "b")], contrasts=CONTRASTS[:1])
    with pytest.raises(EmptyTextError):
        model.encode([" "], contrasts=CONTRASTS[:1])
    for example, message in (
        (Example("x", "a", "b", continuation=" a", foil=" bad"), "it is a pair"),
        (Example("x", "a", foil=" bad"), "continuation None and the foil ' bad'"),
    ):
        with pytest.raises(InputError, match=f"example 'x': .*{message}"):
            model.encode_examples([example])
        assert message.split("None")[0] in model.unusable([example])["x"]
    batch = model.encode(TEXTS, contrasts=CONTRASTS)
    classifier = fresh_classifier("llama")
    with pytest.raises(InputError, match=r"tiny-llama is a classifier.*continuation and a foil"):
        classifier.probabilities(batch)
    with pytest.raises(InputError, match="no continuation and foil"):
        model.probabilities(classifier.encode(TEXTS))


# ---- checkpoints ----------------------------------------------------------------------------------------------------


def saved(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_loaded(family, tmp_path):
    model = fresh(family)
    loaded = NextTokenModel.from_pretrained(saved(model.model, model.tokenizer, tmp_path), device="cpu")
    assert loaded.weights_hash == model.weights_hash
    assert type(loaded) is NextTokenModel
    one, other = (m.probabilities(m.encode(TEXTS, contrasts=CONTRASTS)) for m in (model, loaded))
    assert torch.equal(one, other)


def test_a_classifiers_checkpoint_is_no_language_model(tmp_path):
    """GPT-2's head for words is its embeddings, so that nothing is missing."""
    tokenizer = build_tokenizer("gpt2")
    saved(build_model("gpt2", tokenizer), tokenizer, tmp_path)
    with pytest.raises(ModelError, match=r"is a classifier \(GPT2ForSequenceClassification\).*causal language model"):
        NextTokenModel.from_pretrained(tmp_path, device="cpu")


def test_a_checkpoint_without_a_head_for_words(tmp_path):
    tokenizer = build_tokenizer("llama")
    lm = build_lm("llama", tokenizer)
    saved(lm.model, tokenizer, tmp_path)
    with pytest.raises(ModelError, match=r"no trained weights for lm_head.weight.*trained as a causal language model"):
        NextTokenModel.from_pretrained(tmp_path, device="cpu")
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["LlamaModel"]


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_looks_ahead_is_refused():
    tokenizer = build_tokenizer("bert")
    with pytest.raises(ModelError, match=r"\(BertLMHeadModel\) looks ahead"):
        NextTokenModel(build_lm("bert", tokenizer), tokenizer)
    NextTokenModel(build_lm("bert", tokenizer, is_decoder=True), tokenizer)


def test_a_head_that_is_not_the_one_named(monkeypatch):
    model = fresh("llama")
    monkeypatch.setattr(model.model, "get_output_embeddings", lambda: torch.nn.Linear(1, 1))
    with pytest.raises(UnsupportedArchitectureError, match="its head for words is not the layer"):
        model.probabilities(model.encode(TEXTS, contrasts=CONTRASTS))
    monkeypatch.setattr(model.model, "get_output_embeddings", lambda: None)
    with pytest.raises(ModelError, match="no head for words"):
        NextTokenModel(model.model, model.tokenizer)


def test_a_real_language_model(shared):
    folder = shared / "models" / "stories260K"
    model = NextTokenModel.from_pretrained(folder, device="cpu")
    tokenizer, plain = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    texts = ["Once upon a time, there was a little girl named Lily. One day,", "Tom was a boy. He was happy and"]
    batch = model.encode(texts, contrasts=[(" she", " he"), (" he", " she")])
    # Llama 2's tokenizers know no words
    assert batch.unit_texts(1)[:3] == ("T", "om", "was")
    she, he = tokenizer.convert_tokens_to_ids(["▁she", "▁he"])
    assert batch.contrast.tolist() == [[she, he], [he, she]]
    for i, text in enumerate(texts):
        with torch.no_grad():
            whole = plain(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).logits[0, -1].softmax(dim=-1)
        p = float(whole[batch.contrast[i, 0]] / whole[batch.contrast[i]].sum())
        assert float(model.probabilities(batch)[i, 0]) == pytest.approx(p, abs=1e-5)
        assert p > 0.9
    scores = whybench.load_method("occlusion").attribute(model, batch)
    best = batch.unit_texts(1)[int(batch.unit_scores(scores)[1].argmax())]
    assert best in {"He", "b", "oy", "T", "om", "and"}
