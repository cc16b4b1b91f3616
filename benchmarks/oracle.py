"""Every score once more, as plain loops over lists: what `scvcell.score` is held against (`tests/risk/test_parity.py`).

A package must not mark its own work. So nothing here imports it, nothing is fast, and nothing is shared: each function
is its definition written down. Arguments come in the order of `scvcell.score`: prediction first, truth second.
"""

from __future__ import annotations

import math
from itertools import product

Vector = list[float]
Table = list[Vector]


def mean(x: Vector) -> float:
    return math.fsum(x) / len(x)


def variance(x: Vector) -> float:
    return mean([(v - mean(x)) ** 2 for v in x])


def columns(x: Table) -> Table:
    return [list(column) for column in zip(*x, strict=True)]


def distance(a: Vector, b: Vector, kind: str = "euclidean") -> float:
    if kind == "cosine":
        return 1 - math.fsum(p * q for p, q in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b))
    return math.dist(a, b)


def quantile(x: Vector, share: float) -> float:
    x, place = sorted(x), share * (len(x) - 1)
    low = math.floor(place)
    return x[low] + (place - low) * (x[min(low + 1, len(x) - 1)] - x[low])


def log_cp10k(counts: Table) -> Table:
    return [[math.log(1 + 1e4 * v / max(math.fsum(cell), 1)) for v in cell] for cell in counts]


def clr(counts: Table) -> Table:
    out = []
    for cell in counts:
        log = [math.log(1 + v) for v in cell]
        out.append([v - mean(log) for v in log])
    return out


def foscttm(a: Table, b: Table, kind: str = "euclidean") -> tuple[Vector, Vector]:
    def one_way(a: Table, b: Table) -> Vector:
        out = []
        for i, x in enumerate(a):
            own = distance(x, b[i], kind)
            others = [distance(x, y, kind) for j, y in enumerate(b) if j != i]
            out.append(math.fsum(1.0 if d < own else 0.5 if d == own else 0.0 for d in others) / len(others))
        return out

    return one_way(a, b), one_way(b, a)


def match_recall(a: Table, b: Table, k: int = 1) -> float:
    """Ties in random order: the mean over all orders is the share of places that lie within the first k."""
    hits = []
    for x, y in ((a, b), (b, a)):
        for i, cell in enumerate(x):
            own = distance(cell, y[i])
            closer = sum(distance(cell, other) < own for other in y)
            tied = sum(distance(cell, other) == own for other in y)
            hits.append(mean([float(closer + place < k) for place in range(tied)]))
    return mean(hits)


def neighbours(query: Vector, cells: Table, k: int, without: int = -1) -> list[int]:
    order = sorted((distance(query, cell), j) for j, cell in enumerate(cells) if j != without)
    return [j for _, j in order[:k]]


def vote(near: list[list[int]], labels: list[str]) -> list[str]:
    out = []
    for row in near:
        given = [labels[j] for j in row]
        out.append(min(set(given), key=lambda name: (-given.count(name), name)))
    return out


def label_transfer(a: Table, b: Table, of_a: list[str], of_b: list[str], k: int) -> float:
    shares = []
    for query, cells, own, labels in ((a, b, of_a, of_b), (b, a, of_b, of_a)):
        given = vote([neighbours(x, cells, k) for x in query], labels)
        shares.append(mean([float(g == o) for g, o in zip(given, own, strict=True)]))
    return mean(shares)


def trusted(query: Table, cells: Table, labels: list[str], k: int) -> list[bool]:
    """Three fifths of the votes; as near as 99 % of cells that find their own label; not far for the query."""

    def found(x: Vector, without: int = -1) -> tuple[str, float, float]:
        near = neighbours(x, cells, k, without)
        label = vote([near], labels)[0]
        return label, [labels[j] for j in near].count(label) / k, mean([distance(x, cells[j]) for j in near])

    own = [found(x, i) for i, x in enumerate(cells)]
    right = [far for (label, _, far), true in zip(own, labels, strict=True) if label == true]
    reach = quantile(right or [far for _, _, far in own], 0.99)
    asked = [found(x) for x in query]
    middle = quantile([far for _, _, far in asked], 0.5)
    spread = quantile([abs(far - middle) for _, _, far in asked], 0.5) / 0.6744897501960817
    return [share >= 0.6 and far <= min(reach, middle + 1.5 * spread) for _, share, far in asked]


def overcorrection_canary(a: Table, b: Table, of_a: list[str], of_b: list[str], k: int) -> float:
    rates = []
    for query, cells, own, labels in ((a, b, of_a, of_b), (b, a, of_b, of_a)):
        for kind in set(own):
            rest = [j for j, label in enumerate(labels) if label != kind]
            mine = [i for i, label in enumerate(own) if label == kind]
            if len(mine) >= 3 and len(rest) > k and len({labels[j] for j in rest}) > 1:
                told = trusted(query, [cells[j] for j in rest], [labels[j] for j in rest], k)
                rates.append(mean([float(told[i]) for i in mine]))
    return mean(rates)


def mixing(a: Table, b: Table, k: int = 20) -> float:
    both, out = a + b, []
    for i, cell in enumerate(both):
        other = [(j < len(a)) != (i < len(a)) for j in neighbours(cell, both, k, without=i)]
        expected = (len(b) if i < len(a) else len(a)) / (len(both) - 1)
        out.append(sum(other) / k / expected)
    return mean(out)


def pearson(p: Vector, t: Vector) -> float:
    both = math.fsum((a - mean(p)) * (b - mean(t)) for a, b in zip(p, t, strict=True)) / len(p)
    size = math.sqrt(variance(p) * variance(t))
    return both / size if size > 1e-15 else 0.0


def correlation(p: Table, t: Table) -> Vector:
    return [pearson(a, b) for a, b in zip(columns(p), columns(t), strict=True)]


def cosine(p: Table, t: Table) -> Vector:
    return [1 - distance(a, b, "cosine") for a, b in zip(p, t, strict=True)]


def rmse(p: Table, t: Table) -> float:
    return math.sqrt(mean([(a - b) ** 2 for x, y in zip(p, t, strict=True) for a, b in zip(x, y, strict=True)]))


def rmse_per_feature(p: Table, t: Table) -> float:
    return mean([rmse([[v] for v in a], [[v] for v in b]) for a, b in zip(columns(p), columns(t), strict=True)])


def nmae(p: Table, t: Table) -> float:
    wrong = math.fsum(abs(a - b) for x, y in zip(p, t, strict=True) for a, b in zip(x, y, strict=True))
    return wrong / math.fsum(abs(b) for y in t for b in y)


def nmse(p: Table, t: Table) -> float:
    wrong = math.fsum((a - b) ** 2 for x, y in zip(p, t, strict=True) for a, b in zip(x, y, strict=True))
    return wrong / math.fsum(b**2 for y in t for b in y)


def r2(p: Vector, t: Vector) -> float:
    return 1 - math.fsum((b - a) ** 2 for a, b in zip(p, t, strict=True)) / math.fsum((b - mean(t)) ** 2 for b in t)


def r2_variance(p: Table, t: Table) -> float:
    return r2([variance(c) for c in columns(p)], [variance(c) for c in columns(t)])


def accuracy(p: list[str], t: list[str]) -> float:
    return mean([float(a == b) for a, b in zip(p, t, strict=True)])


def macro_f1(p: list[str], t: list[str]) -> float:
    each = []
    for name in {*p, *t}:
        hits = sum(a == name == b for a, b in zip(p, t, strict=True))
        precision = hits / max(p.count(name), 1)
        recall = hits / max(t.count(name), 1)
        each.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    return mean(each)


def auroc(p: Table, t: list[list[bool]]) -> float:
    rows = []
    for score, there in zip(p, t, strict=True):
        yes = [s for s, h in zip(score, there, strict=True) if h]
        no = [s for s, h in zip(score, there, strict=True) if not h]
        if yes and no:
            rows.append(mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(yes, no)]))
    return mean(rows)


def slope(p: Vector, t: Vector) -> float:
    return math.fsum(a * b for a, b in zip(p, t, strict=True)) / math.fsum(b * b for b in t)


def pds(p: Table, t: Table) -> float:
    ranks = []
    for i, found in enumerate(p):
        likeness = [1 - distance(found, true, "cosine") for true in t]
        others = [x for j, x in enumerate(likeness) if j != i]
        before = sum(1.0 if x > likeness[i] else 0.5 if x == likeness[i] else 0.0 for x in others)
        ranks.append(1 - before / len(others))
    return mean(ranks)


def energy_distance(x: Table, y: Table, *, unbiased: bool = True) -> float:
    def within(a: Table) -> float:
        pairs = [math.dist(a[i], a[j]) for i, j in product(range(len(a)), repeat=2) if i != j or not unbiased]
        return mean(pairs)

    return 2 * mean([math.dist(a, b) for a, b in product(x, y)]) - within(x) - within(y)


def coverage(truth: Table, lower: Table, upper: Table) -> Vector:
    rows = zip(truth, lower, upper, strict=True)
    held = [[float(lo <= v <= up) for v, lo, up in zip(*row, strict=True)] for row in rows]
    return [mean(column) for column in columns(held)]


def relative_width(truth: Table, lower: Table, upper: Table, level: float) -> Vector:
    out = []
    for t, lo, up in zip(columns(truth), columns(lower), columns(upper), strict=True):
        whole = quantile(t, (1 + level) / 2) - quantile(t, (1 - level) / 2)
        out.append(mean([b - a for a, b in zip(lo, up, strict=True)]) / whole)
    return out


def place_error(predicted: Table, true: Table) -> Vector:
    return [math.dist(p, t) for p, t in zip(predicted, true, strict=True)]


def map_nll(probability: Table, place: list[int]) -> Vector:
    return [-math.log(row[k]) for row, k in zip(probability, place, strict=True)]


def map_rank(probability: Table, place: list[int]) -> Vector:
    return [mean([float(p > row[k]) for p in row]) for row, k in zip(probability, place, strict=True)]
