"""The half of `scripts/compare_ferret.py` that runs in ferret's environment: its own evaluation, timed.

    python ferret_clock.py JOB

JOB names a checkpoint, and has texts, targets and token scores. For every line on standard input all of them are
evaluated as ferret's documentation does it, and a line with the processor seconds and values is written; a line with
the leave-one-out drops comes first. Nothing of whybench is imported: its packages are not in that environment.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from ferret import Benchmark
from ferret.evaluators.faithfulness_measures import (
    AOPC_Comprehensiveness_Evaluation,
    AOPC_Sufficiency_Evaluation,
    TauLOO_Evaluation,
)
from ferret.explainers.explanation import Explanation
from ferret.explainers.gradient import GradientExplainer
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main(job):
    """Evaluate the job for every line that comes."""
    torch.set_num_threads(1)
    answers, sys.stdout = sys.stdout, sys.stderr
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    model = AutoModelForSequenceClassification.from_pretrained(job["model"], dtype=torch.float32).eval()
    both = (model, tokenizer)
    measures = [
        AOPC_Comprehensiveness_Evaluation(*both),
        AOPC_Sufficiency_Evaluation(*both),
        TauLOO_Evaluation(*both),
    ]
    # one explainer, as an empty list would stand for all: none of them is run
    bench = Benchmark(*both, explainers=[GradientExplainer(*both)], evaluators=measures)
    tokens = [tokenizer.convert_ids_to_tokens(tokenizer(text, truncation=True)["input_ids"]) for text in job["texts"]]

    def evaluate(i, scores):
        explanation = Explanation(job["texts"][i], tokens[i], np.array(scores), "given", job["targets"][i])
        found = bench.evaluate_explanation(explanation, job["targets"][i], show_progress=False)
        return {score.name: float(score.score) for score in found.evaluation_scores}

    names = [measure.SHORT_NAME for measure in measures]
    evaluate(0, job["maps"][0][0])
    given = zip(job["texts"], job["targets"], strict=True)
    drops = [-measures[2].compute_leave_one_out_occlusion(*one).numpy() for one in given]
    answers.write(json.dumps({"drops": [row.tolist() for row in drops]}) + "\n")
    answers.flush()
    for _ in sys.stdin:
        began = time.process_time()
        found = [[evaluate(i, scores) for i, scores in enumerate(rows)] for rows in job["maps"]]
        seconds = time.process_time() - began
        values = [[[one[name] for name in names] for one in rows] for rows in found]
        answers.write(json.dumps({"seconds": seconds, "values": values}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
