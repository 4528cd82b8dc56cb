"""Does the order of the methods depend on how units are removed?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from whybench.bench.agreement import tau


def order_agreement(figures: Mapping[str, Mapping[str, float]]) -> dict[tuple[str, str], float]:
    """Kendall's τ-b between the methods' orders under every two removal operators.

    1 says that both put the methods into the same order, -1 that one's is the other's turned round, 0 that they have
    nothing to do with one another, or that one of them tells no methods apart.

    Args:
        figures: Per operator and method a dataset's figure. Two operators are compared on the methods that both have.

    Returns:
        Per pair of operators, in the order given; pairs with fewer than two methods in common are left out.
    """
    found = {}
    for one, two in combinations(figures, 2):
        shared = [method for method in figures[one] if method in figures[two]]
        if len(shared) > 1:
            first, second = (np.array([figures[operator][method] for method in shared]) for operator in (one, two))
            found[one, two] = tau(first, second)
    return found
