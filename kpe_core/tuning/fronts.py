"""Pareto fronts of pairs that are both to be small.

Non-dominated sorting and crowding distance: Deb, Pratap, Agarwal, Meyarivan, *A Fast and Elitist Multiobjective Genetic
Algorithm: NSGA-II* (IEEE TEC 2002), §III. Sets here are small: everything is quadratic.
"""

import math
from collections.abc import Sequence

Pair = tuple[float, float]


def dominates(a: Pair, b: Pair) -> bool:
    """Whether ``a`` is at least as small in both, and smaller in one."""
    return a[0] <= b[0] and a[1] <= b[1] and a != b


def front(pairs: Sequence[Pair]) -> list[int]:
    """Indices of the pairs that no other dominates, in order. Of equal pairs, all."""
    return [i for i, a in enumerate(pairs) if not any(dominates(b, a) for b in pairs)]


def layers(pairs: Sequence[Pair]) -> list[list[int]]:
    """Indices by layer: the front, the front of what is left without it, and so on."""
    left, found = list(range(len(pairs))), []
    while left:
        layer = [left[i] for i in front([pairs[i] for i in left])]
        found.append(layer)
        left = [i for i in left if i not in set(layer)]
    return found


def crowding(pairs: Sequence[Pair]) -> list[float]:
    """How alone each pair is among its own: the sides of the box its neighbours span, over the range; ends are infinite."""
    found = [0.0] * len(pairs)
    for axis in (0, 1):
        order = sorted(range(len(pairs)), key=lambda i: (pairs[i][axis], pairs[i][1 - axis], i))
        found[order[0]] = found[order[-1]] = math.inf
        extent = pairs[order[-1]][axis] - pairs[order[0]][axis]
        if extent > 0.0:
            for before, here, after in zip(order, order[1:], order[2:], strict=False):
                found[here] += (pairs[after][axis] - pairs[before][axis]) / extent
    return found


def better_half(pairs: Sequence[Pair]) -> list[int]:
    """Indices of the half, rounded up, that goes on: layer by layer, of the layer that is cut the least crowded; in order.

    Where two are alike, the earlier one.
    """
    room, chosen = math.ceil(len(pairs) / 2), list[int]()
    for layer in layers(pairs):
        alone = crowding([pairs[i] for i in layer])
        ranked = sorted(range(len(layer)), key=lambda k: (-alone[k], layer[k]))
        chosen += [layer[k] for k in ranked[: room - len(chosen)]]
    return sorted(chosen)


def hypervolume(pairs: Sequence[Pair], reference: Pair) -> float:
    """Area that the pairs dominate below ``reference`` (Zitzler and Thiele 1999): the larger, the better the front."""
    area, lowest = 0.0, reference[1]
    for x, y in sorted(pairs):
        if x < reference[0] and y < lowest:
            area += (reference[0] - x) * (lowest - y)
            lowest = y
    return area
