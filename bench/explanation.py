"""One text explained by one method: for the terminal and as a page."""

from __future__ import annotations

import html
from dataclasses import dataclass

import torch
from rich.text import Text

from whybench.bench.classifier import Classifier
from whybench.bench.errors import InputError
from whybench.bench.method import Method
from whybench.bench.next_token import NextTokenModel
from whybench.bench.scoring import check_scores
from whybench.bench.segments import Stretch, stretches

# Okabe and Ito's blue and vermilion: told apart with any colour vision; a third hue where there is no sign
SUPPORTS, OPPOSES, MATTERS = (0, 114, 178), (213, 94, 0), (91, 79, 184)


@dataclass(frozen=True)
class Explanation:
    """A prediction and its explanation.

    Attributes:
        method: The method's label.
        model: The model's name.
        prediction: Name of the label that is explained; of a next token, the continuation and what it is set against.
        probability: Its probability.
        text: The text; a pair's texts stand one after the other.
        spans: Per unit its characters in ``text``.
        scores: Per unit its score.
        truncated: Whether the text was longer than the model's limit.
        report: What the method reports about its answer.
        signed: Whether a negative score says "opposes"; else scores say only how much a unit matters.
        note: What must be said about the method.
        contrast: The continuation and the foil, where a next token is explained.
    """

    method: str
    model: str
    prediction: str
    probability: float
    text: str
    spans: tuple[tuple[int, int], ...]
    scores: tuple[float, ...]
    truncated: bool
    report: dict[str, float]
    signed: bool = True
    note: str = ""
    contrast: tuple[str, str] | None = None

    @property
    def caption(self) -> str:
        """What the colours say."""
        if self.signed and self.contrast is not None:
            continuation, foil = self.contrast
            return f"Blue speaks for “{continuation}”, orange for “{foil}”."
        if self.signed:
            return "Blue supports the prediction, orange opposes it."
        return "The stronger the violet, the more it matters, for or against."

    def stretches(self) -> list[Stretch]:
        """The text cut at its units, every character once."""
        return stretches(self.text, ((start, end, unit) for unit, (start, end) in enumerate(self.spans)))

    def hue(self, shade: float) -> tuple[int, int, int]:
        """Red, green and blue of a shade's full colour."""
        if not self.signed:
            return MATTERS
        return SUPPORTS if shade >= 0 else OPPOSES

    def written(self, score: float) -> str:
        """A score as text, with its sign where signs mean something."""
        return f"{score:+.4g}" if self.signed else f"{score:.4g}"

    def shades(self) -> list[float]:
        """Scores relative to the largest magnitude, in [-1, 1]; an unsigned one below 0, which ranks last, is 0."""
        scores = self.scores if self.signed else [max(score, 0.0) for score in self.scores]
        largest = max((abs(score) for score in scores), default=0.0)
        return [score / largest if largest else 0.0 for score in scores]


def explain_text(
    classifier: Classifier,
    method: Method,
    text: str,
    text_pair: str | None = None,
    contrast: tuple[str, str] | None = None,
) -> Explanation:
    """Explain the classifier's prediction on one text or pair, or a language model's next token.

    Args:
        classifier: The classifier.
        method: The method.
        text: The text.
        text_pair: Second text of a pair.
        contrast: For a `NextTokenModel` the continuation, which is explained, and the foil that it is set against.

    Raises:
        EmptyTextError: The text has no unit.
        InputError: A contrast for a classifier, or what a language model cannot be asked about.
        MethodError: The method has no answer for this text.
        ScoresError: Its scores cannot be ranked.
    """
    texts = [text] if text_pair is None else [(text, text_pair)]
    if isinstance(classifier, NextTokenModel):
        batch = classifier.encode(texts, contrasts=None if contrast is None else [contrast])
    elif contrast is not None:
        raise InputError(f"{classifier.name} is a classifier; a continuation and a foil are for a language model.")
    else:
        batch = classifier.encode(texts)
    probabilities = classifier.probabilities(batch)[0]
    target = int(classifier.target(batch, probabilities[None])[0])
    batch = batch.with_target(torch.tensor([target]))
    attribution = method.explain(classifier, batch)
    method.check(attribution, batch)
    check_scores(batch, attribution.scores, signed=method.signed or method.negative)
    shift = len(text) + 1
    return Explanation(
        method=method.label(),
        model=classifier.name,
        prediction=classifier.labels[target] if contrast is None else "“{}” against “{}”".format(*contrast),
        probability=float(probabilities[target]),
        text=text if text_pair is None else f"{text}\n{text_pair}",
        spans=tuple((s.start + shift * s.segment, s.end + shift * s.segment) for s in batch.unit_spans[0]),
        scores=tuple(batch.unit_scores(attribution.scores)[0].tolist()),
        truncated=batch.truncated[0],
        report={name: float(figure[0]) for name, figure in attribution.report.items()},
        signed=method.signed,
        note=method.note,
        contrast=contrast,
    )


def to_terminal(explanation: Explanation) -> Text:
    """The text with each unit on its score's colour (see `Explanation.caption`)."""
    text, shades = Text(), explanation.shades()
    for stretch in explanation.stretches():
        shade = 0.0 if stretch.unit is None else shades[stretch.unit]
        # towards the colour from black, with text that stays readable on it
        background = [round(channel * abs(shade)) for channel in explanation.hue(shade)]
        text.append(stretch.text, style="" if abs(shade) < 0.05 else f"#ffffff on #{bytes(background).hex()}")
    return text


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{method} · {model}</title>
<style>
:root {{ color-scheme: light dark; font: 1.05rem/1.9 system-ui, sans-serif; }}
body {{ max-width: 45rem; margin: 2rem auto; padding: 0 1rem; }}
p.text {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
mark {{ color: inherit; border-radius: .2em; padding: .1em .05em; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ padding: 0 1rem 0 0; text-align: left; }} td + td {{ text-align: right; }}
small {{ opacity: .75; }}
</style>
<h1>{prediction} <small>p = {probability:.3f}</small></h1>
<p><small>{method} on {model}. {caption} Hover for the scores.{cut}</small></p>
{note}
<p class="text">{body}</p>
<details><summary>Scores</summary><table><tr><th>unit</th><th>score</th></tr>{rows}</table></details>
</html>
"""


def to_html(explanation: Explanation) -> str:
    """A page of its own, with the scores as colours, on hover, and in a table; the text is escaped."""
    shades, titles = explanation.shades(), [explanation.written(score) for score in explanation.scores]
    body = []
    for stretch in explanation.stretches():
        text = html.escape(stretch.text)
        if stretch.unit is not None:
            shade = shades[stretch.unit]
            red, green, blue = explanation.hue(shade)
            colour = f"rgb({red} {green} {blue} / {abs(shade) * 0.75:.3f})"
            text = f'<mark style="background:{colour}" title="{titles[stretch.unit]}">{text}</mark>'
        body.append(text)
    rows = [
        f"<tr><td>{html.escape(explanation.text[start:end])}</td><td>{title}</td></tr>"
        for (start, end), title in zip(explanation.spans, titles, strict=True)
    ]
    return PAGE.format(
        method=html.escape(explanation.method),
        model=html.escape(explanation.model),
        prediction=html.escape(explanation.prediction),
        probability=explanation.probability,
        caption=html.escape(explanation.caption),
        cut=" The text was longer than the model's limit and was cut." if explanation.truncated else "",
        note=f"<p><small>{html.escape(explanation.note)}</small></p>" if explanation.note else "",
        body="".join(body),
        rows="".join(rows),
    )
