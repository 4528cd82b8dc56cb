"""Paths from a word's embedding to a baseline's that keep near other words' embeddings."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Strategy = Literal["greedy", "maxcount"]

# Words whose neighbours are found, or tried, together
_CHUNK = 16


class WordPaths:
    """Finds paths of one vocabulary, as `path` describes them.

    Args:
        words: The embeddings of the words that may be passed by, ``[words, hidden]``.
        baseline: ``[hidden]``, where all paths end; not one of the words.
        steps: Number of steps m of a path.
        neighbours: How many of a word's nearest words the next one is chosen from.
        strategy: How it is chosen.
    """

    def __init__(self, words: Tensor, baseline: Tensor, steps: int, neighbours: int, strategy: Strategy) -> None:
        # in float64, so that the same words are chosen whatever is asked for at the same time
        self.words, self.baseline = words.double(), baseline.double()
        self.steps, self.neighbours, self.strategy = steps, min(neighbours, len(words) - 1), strategy
        self._near: dict[int, Tensor] = {}

    def paths(self, starts: Tensor) -> Tensor:
        """Paths of words, ``[starts, steps + 1, hidden]``, float64, each from its word to the baseline.

        Step k goes from the point p to the next one by way of an anchor word a, one of the nearest words of the anchor
        before (at first: of the word itself). In every dimension where a lies between p and the baseline, the next
        point is a; in all others it is p moved by 1/(m − k) of what is left to the baseline, so that no dimension ever
        turns. ``greedy`` takes the a that is nearest to its own next point, and ``maxcount`` the one with most
        dimensions in between; the nearer word where they are equal.

        Args:
            starts: Indices of the words, ``[starts]``.
        """
        points = [self.words[starts]]
        anchors = starts
        for step in range(self.steps - 1):
            self._find_near(anchors)
            moved = [
                self._step(points[-1][begin : begin + _CHUNK], anchors[begin : begin + _CHUNK], self.steps - step)
                for begin in range(0, len(anchors), _CHUNK)
            ]
            points.append(torch.cat([point for point, _ in moved]))
            anchors = torch.cat([anchor for _, anchor in moved])
        points.append(self.baseline.expand_as(points[0]))
        return torch.stack(points, dim=1)

    def _step(self, points: Tensor, anchors: Tensor, left: int) -> tuple[Tensor, Tensor]:
        """The next points and anchors of some paths, ``left`` steps before their end."""
        near = torch.stack([self._near[anchor] for anchor in anchors.tolist()])
        candidates, here = self.words[near], points[:, None]
        between = (candidates - here) * (candidates - self.baseline) <= 0
        tried = torch.where(between, candidates, here + (self.baseline - here) / left)
        if self.strategy == "greedy":
            cost = (tried - candidates).norm(dim=-1)
        else:
            # words come from the nearest to the farthest, and a whole dimension weighs more than all of their places
            places = torch.arange(near.shape[1], device=near.device)
            cost = places - between.sum(dim=-1).double() * near.shape[1]
        best = cost.argmin(dim=1)
        rows = torch.arange(len(points), device=points.device)
        return tried[rows, best], near[rows, best]

    def _find_near(self, anchors: Tensor) -> None:
        """Note the nearest words of all anchors, from the nearest on, without the anchor itself."""
        new = [anchor for anchor in dict.fromkeys(anchors.tolist()) if anchor not in self._near]
        for begin in range(0, len(new), _CHUNK):
            chunk = new[begin : begin + _CHUNK]
            distances = torch.cdist(self.words[chunk], self.words)
            distances[range(len(chunk)), chunk] = torch.inf
            nearest = distances.topk(self.neighbours, largest=False).indices
            self._near.update(zip(chunk, nearest, strict=True))
