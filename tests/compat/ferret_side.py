"""The half of `record_ferret` that runs in ferret's environment, and all that touches ferret.

    python ferret_side.py JOB ANSWERS

JOB lists checkpoints, texts, targets and token scores; ANSWERS gets what ferret's own evaluators make of them, and its
versions. Nothing of whybench is imported: its packages are not in that environment.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from ferret.evaluators.faithfulness_measures import (
    AOPC_Comprehensiveness_Evaluation,
    AOPC_Sufficiency_Evaluation,
    TauLOO_Evaluation,
)
from ferret.evaluators.utils_from_soft_to_discrete import _get_id_tokens_percentage
from ferret.explainers.explanation import Explanation
from ferret.explainers.gradient import GradientExplainer, IntegratedGradientExplainer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

PACKAGES = ("ferret-xai", "torch", "transformers", "tokenizers", "numpy", "scipy")


def rounded(scores):
    """Six digits: what is scored is then exactly what is written down."""
    return [float(f"{score:.6g}") for score in np.asarray(scores, dtype=np.float64)]


def stable(scores):
    """Whether ferret's sets are those of a stable sort: only ties can make them others, by numpy's choice."""
    n = len(scores)
    for step in np.arange(0.1, 1.1, 0.1):
        found = _get_id_tokens_percentage(scores, step) or []
        k = int(step * n)
        wanted = [i for i in np.argsort(scores, kind="stable")[::-1][:k] if scores[i] > 0]
        if set(found) != set(wanted):
            return False
    return True


class Remembering:
    """The model, which answers a batch that it has seen with what it said: ferret asks the same for every map."""

    def __init__(self, model):
        self.model, self.device, self.seen = model, model.device, {}

    def __call__(self, output_hidden_states=False, **batch):
        key = tuple((name, tensor.shape, tensor.numpy().tobytes()) for name, tensor in sorted(batch.items()))
        if key not in self.seen:
            self.seen[key] = self.model(**batch, output_hidden_states=output_hidden_states)
        return self.seen[key]


class Model:
    """A checkpoint with ferret's evaluators and those of its explainers that tests take scores of."""

    def __init__(self, folder):
        settings = json.loads((Path(folder) / "tokenizer_config.json").read_text(encoding="utf-8"))
        if settings["tokenizer_class"] == "TokenizersBackend":
            # a class that transformers 4 does not have; what it reads is all in tokenizer.json
            self.tokenizer = PreTrainedTokenizerFast(
                tokenizer_file=str(Path(folder) / "tokenizer.json"),
                model_max_length=settings["model_max_length"],
                model_input_names=settings["model_input_names"],
                **{name: token for name, token in settings.items() if name.endswith("_token")},
            )
        else:
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        both = (self.model, self.tokenizer)
        remembering = (Remembering(self.model), self.tokenizer)
        self.measures = (
            AOPC_Comprehensiveness_Evaluation(*remembering),
            AOPC_Sufficiency_Evaluation(*remembering),
            TauLOO_Evaluation(*remembering),
        )
        self.explainers = {
            "ferret_gradient": GradientExplainer(*both, multiply_by_inputs=False),
            "ferret_gradient_x_input": GradientExplainer(*both, multiply_by_inputs=True),
            "ferret_integrated_gradients": IntegratedGradientExplainer(*both, multiply_by_inputs=True),
        }

    def answer(self, case):
        """ferret's scores, ``[compr, suff, tau]`` per map, and what its leave-one-out passes gave."""
        text, target = case["text"], case["target"]
        tokens = self.tokenizer.convert_ids_to_tokens(self.tokenizer(text, truncation=True)["input_ids"])
        own = {}
        for name in case["explainers"]:
            own[name] = rounded(self.explainers[name](text, target).scores)
        maps = {**case["scores"], **own}
        results = {}
        for name, scores in maps.items():
            explanation = Explanation(text, tokens, np.array(scores), name, target)
            results[name] = [float(m.compute_evaluation(explanation, target=target).score) for m in self.measures]
        removed = self.measures[2].compute_leave_one_out_occlusion(text, target=target).numpy()
        return {
            "tokens": len(tokens),
            "drops": [float(f"{-drop:.9g}") for drop in removed],
            "own": own,
            "unstable": [name for name, scores in maps.items() if not stable(np.array(scores)[1:-1])],
            "ferret": results,
        }


def main(job, answers):
    """Answer every case of the job."""
    torch.set_num_threads(1)
    models = [Model(folder) for folder in job["models"]]
    result = {
        "versions": {package: version(package) for package in PACKAGES},
        "answers": [models[case["model"]].answer(case) for case in job["cases"]],
    }
    answers.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
