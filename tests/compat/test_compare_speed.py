"""The comparison of speed: what it times is what it says it times. ferret itself is not needed for that."""

import dataclasses
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import whybench
from whybench.bench import ferret
from whybench.bench.engine import ForwardEngine
from whybench.tests.compat.cases import folder_of

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "compare_ferret.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="scripts/ is not part of the wheel")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("compare_ferret", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_ferret"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["compare_ferret"]


@pytest.fixture
def subject(script, tmp_path):
    classifier = whybench.Classifier.from_pretrained(folder_of("majority", tmp_path), device="cpu")
    texts = [example.text for example in whybench.load_task("majority").load().examples[:3]]
    batch = classifier.encode(texts)
    batch = batch.with_target(classifier.target(batch))
    return script.Subject(classifier, batch, script.score_maps(classifier, batch, 5))


def test_all_maps_in_one_go_are_each_map_alone(script, subject):
    together = script.as_ferret(subject, ForwardEngine(subject.classifier), subject.maps)
    for one, scores in zip(together, subject.maps, strict=True):
        alone = whybench.score(subject.classifier, subject.batch, scores, profile="ferret")
        np.testing.assert_allclose(one[:, :2], np.stack([alone[n] for n in ("aopc_compr", "aopc_suff")], 1), atol=1e-6)


def test_the_loop_asks_what_the_engine_is_asked(script, subject, monkeypatch):
    asked, plain = [], subject.classifier.model.forward
    monkeypatch.setattr(
        subject.classifier.model, "forward", lambda **inputs: asked.append(len(inputs["input_ids"])) or plain(**inputs)
    )
    script.loop(subject)
    assert len(asked) == 4 * 3
    total = sum(asked)
    engine = ForwardEngine(subject.classifier)
    script.as_ferret(subject, engine, subject.maps[:-1])
    assert total == engine.counts.asked > engine.counts.forwarded


def test_the_tokens_seen_are_those_that_the_engine_counts(script, subject):
    seen, engine = [], ForwardEngine(subject.classifier)
    with script.watched(subject.classifier, seen):
        script.by_protocol(subject, engine, subject.maps)
    assert sum(map(len, seen)) == engine.counts.real_tokens
    before = engine.counts.forwarded
    script.by_protocol(subject, engine, subject.maps)
    assert engine.counts.forwarded == before > 0


def test_numbers_that_are_not_ferrets_are_found(script, subject, capsys):
    """In ferret's place stand whybench's own numbers, and then some that are a little off."""
    engine, drops = ForwardEngine(subject.classifier), []
    own = script.as_ferret(subject, engine, subject.maps[:-1])
    tau = ferret.METRICS["taucorr_loo"]
    watched = dataclasses.replace(tau, value=lambda found, _: drops.append(found) or 0.0)
    ferret.ferret_values(engine, subject.batch, subject.maps[0], [watched])
    assert script.check(subject, own, own.copy(), drops)
    for metric in range(3):
        theirs = own.copy()
        theirs[1, 2, metric] += 2e-5
        assert not script.check(subject, own, theirs, drops)
    assert not script.check(subject, own, own.copy(), [drops[0] + 1e-5, *drops[1:]])
    assert "1 of 12" in capsys.readouterr().out


def test_maps_survive_json_and_sentences_are_spread(script, subject, tmp_path):
    for scores in subject.maps:
        assert json.loads(json.dumps(scores.tolist())) == scores.tolist()
    assert not torch.equal(subject.maps[-1], subject.maps[-2])
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(f"line {i}" for i in range(100)), encoding="utf-8")
    assert script.sentences(path, 4) == ["line 0", "line 25", "line 50", "line 75"]
