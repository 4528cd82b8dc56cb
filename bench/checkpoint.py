"""Loading a checkpoint from a folder or the Hub, and saying what is wrong with one that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from whybench.bench.errors import ModelError, ParameterError


class Checkpoint(NamedTuple):
    """A loaded checkpoint.

    Attributes:
        model: The transformers model, on its device.
        tokenizer: Its tokenizer.
        name: Hub id, or the folder's name.
        revision: Commit of a Hub model; None for a folder.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    revision: str | None


def load_checkpoint(
    path_or_id: str | Path,
    *,
    head: Any,
    purpose: str,
    revision: str | None,
    device: str | torch.device | None,
    dtype: torch.dtype,
) -> Checkpoint:
    """Load a checkpoint; see `Classifier.from_pretrained`.

    Args:
        path_or_id: A folder, or the id of a Hub model.
        head: The transformers auto class that loads it, ``AutoModelFor…``.
        purpose: What it must have been trained as, for messages.
        revision: Commit, tag or branch of a Hub model.
        device: Where to put it; None takes the GPU where there is one.
        dtype: Precision of the weights.
    """
    local = Path(path_or_id).expanduser()
    source = str(local) if local.exists() else str(path_or_id)
    if not local.exists() and (source.startswith((".", "/", "~")) or source.count("/") > 1):
        raise ModelError(f"there is no model folder {source!r}. Give a folder with config.json, or a Hub id.")
    options: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model, info = head.from_pretrained(
            source, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
        )
    except Exception as error:  # a broken file, an unknown kind: its libraries have no common error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"the model {source!r} could not be loaded: {reason} Check the folder or id; without a network give a "
            f"folder, or fill the Hub cache first (hf download {source})."
        ) from error
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(f"{source!r} has no tokenizer (tokenizer.json): put the one it was trained with there.")
    missing = sorted(info["missing_keys"])
    if missing:
        some = ", ".join(missing[:4]) + " …" * (len(missing) > 4)
        raise ModelError(
            f"{source!r} has no trained weights for {some}: explaining a random head would say nothing. "
            f"Give a checkpoint {purpose}."
        )
    return Checkpoint(
        _moved(model, device),
        tokenizer,
        name=local.resolve().name if local.exists() else source,
        revision=None if local.exists() else getattr(model.config, "_commit_hash", None) or revision,
    )


def _moved(model: PreTrainedModel, device: str | torch.device | None) -> PreTrainedModel:
    """The model on the device; None takes the GPU where there is one."""
    wanted = device if device is not None else "cuda" if torch.cuda.is_available() else "cpu"
    try:
        moved: PreTrainedModel = model.to(torch.device(wanted))  # type: ignore[arg-type]
    except (RuntimeError, AssertionError) as error:
        present = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        reason = str(error).splitlines()[0]
        raise ParameterError(f"the device {str(wanted)!r} cannot be used ({reason}); here are {present}.") from error
    return moved
