"""Saving and loading checkpoints, and every way in which a folder can fail to be one."""

import json
import shutil

import pytest
import torch
from transformers import AutoModel

from whybench.bench.classifier import Classifier
from whybench.bench.errors import ModelError
from whybench.bench.tiny_models import FAMILIES, TEXTS, fresh_classifier, tiny_classifier


@pytest.fixture
def checkpoint(tmp_path):
    return save(tiny_classifier("bert"), tmp_path / "checkpoint")


def save(classifier, folder):
    classifier.model.save_pretrained(folder)
    classifier.tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_save_and_load(family, tmp_path):
    own = tiny_classifier(family)
    loaded = Classifier.from_pretrained(save(own, tmp_path / "saved"), device="cpu")
    assert (loaded.name, loaded.revision) == ("saved", None)
    assert loaded.weights_hash == own.weights_hash
    assert (loaded.max_length, loaded.pad_id, loaded.labels) == (own.max_length, own.pad_id, own.labels)
    batch, expected = loaded.encode(TEXTS), own.encode(TEXTS)
    assert torch.equal(batch.input_ids, expected.input_ids)
    assert torch.equal(batch.units, expected.units)
    torch.testing.assert_close(loaded.probabilities(batch), own.probabilities(expected))


def test_weights_hash(checkpoint):
    own = tiny_classifier("bert").weights_hash
    assert len(own) == 64
    assert fresh_classifier("bert").weights_hash == own
    assert fresh_classifier("bert", seed=1).weights_hash != own
    changed = fresh_classifier("bert")
    with torch.no_grad():
        changed.model.classifier.bias[0] += 1e-6
    assert changed.weights_hash != own
    assert Classifier.from_pretrained(str(checkpoint), device="cpu", dtype=torch.bfloat16).weights_hash != own


def test_dtype(checkpoint):
    assert Classifier.from_pretrained(checkpoint, device="cpu").dtype == torch.float32
    half = Classifier.from_pretrained(checkpoint, device="cpu", dtype=torch.bfloat16)
    assert half.dtype == torch.bfloat16
    assert half.probabilities(half.encode(TEXTS)).dtype == torch.float32


def test_missing_folder():
    for path in ("./no/such/folder", "/no/such/folder", "~/no/such/folder", "one/two/three"):
        with pytest.raises(ModelError, match=r"there is no model folder.*config.json, or a Hub id"):
            Classifier.from_pretrained(path)


def test_unknown_hub_id_without_a_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"could not be loaded.*hf download"):
        Classifier.from_pretrained("nobody/no-such-model")


def remove_weights(folder):
    (folder / "model.safetensors").unlink()


def only_pickle(folder):
    (folder / "model.safetensors").unlink()
    torch.save(tiny_classifier("bert").model.state_dict(), folder / "pytorch_model.bin")


def truncate_weights(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def remove_config(folder):
    (folder / "config.json").unlink()


def break_config(folder):
    (folder / "config.json").write_text('{"model_type": "bert", ')


def unknown_type(folder):
    (folder / "config.json").write_text('{"model_type": "no-such-model"}')


def wrong_field(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": "thirty-two"}))


def other_shape(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))


def break_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{}")


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


BROKEN = (
    remove_weights,
    only_pickle,
    truncate_weights,
    remove_config,
    break_config,
    unknown_type,
    wrong_field,
    other_shape,
    break_tokenizer,
    empty,
)


@pytest.mark.parametrize("damage", BROKEN)
def test_broken_checkpoints(damage, checkpoint):
    damage(checkpoint)
    with pytest.raises(ModelError, match="could not be loaded") as caught:
        Classifier.from_pretrained(checkpoint, device="cpu")
    assert str(checkpoint) in str(caught.value)
    assert "Check the folder" in str(caught.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpoint_without_a_tokenizer(family, tmp_path):
    """For some families transformers makes up an empty tokenizer that knows no word."""
    tiny_classifier(family).model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"tokenizer"):
        Classifier.from_pretrained(tmp_path, device="cpu")


def test_checkpoint_without_a_head(checkpoint):
    AutoModel.from_pretrained(checkpoint).save_pretrained(checkpoint)
    with pytest.raises(ModelError, match=r"no trained weights for classifier.bias, classifier.weight.*fine-tuned"):
        Classifier.from_pretrained(checkpoint, device="cpu")


def test_code_in_a_checkpoint_is_not_run(checkpoint, tmp_path):
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "code.Mine", "AutoModelForSequenceClassification": "code.M"},
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError, match="could not be loaded"):
        Classifier.from_pretrained(checkpoint, device="cpu")
    assert not (tmp_path / "ran").exists()
