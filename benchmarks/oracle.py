"""Every score once more, as plain loops over lists: what `scvcell.score` is held against (`tests/risk/test_parity.py`).

A package must not mark its own work. So nothing here imports it, nothing is fast, and nothing is shared: each function
is its definition written down. Arguments come in the order of `scvcell.score`: prediction first, truth second.
"""

from __future__ import annotations

import math
from itertools import combinations, product

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


def minus(a: Vector, b: Vector) -> Vector:
    return [x - y for x, y in zip(a, b, strict=True)]


def pearson_perturbed(p: Table, t: Table, reference: Vector) -> Vector:
    return [pearson(minus(a, reference), minus(b, reference)) for a, b in zip(p, t, strict=True)]


def mrrmse(p: Table, t: Table) -> float:
    return mean([math.sqrt(mean([(a - b) ** 2 for a, b in zip(x, y, strict=True)])) for x, y in zip(p, t, strict=True)])


def nmae_significant(p: Table, t: Table, significant: list[list[bool]]) -> Vector:
    out = []
    for x, y, told in zip(p, t, significant, strict=True):
        pairs = [(a if math.isfinite(a) else 0.0, b) for a, b, yes in zip(x, y, told, strict=True) if yes]
        size = math.fsum(abs(b) for _, b in pairs)
        out.append(math.fsum(abs(a - b) for a, b in pairs) / size if len(pairs) >= 10 else math.nan)
    return out


def pds(p: Table, t: Table, kind: str = "cosine") -> float:
    far = {
        "cosine": lambda a, b: distance(a, b, "cosine"),
        "euclidean": math.dist,
        "manhattan": lambda a, b: math.fsum(abs(x) for x in minus(a, b)),
    }[kind]
    ranks = []
    for i, found in enumerate(p):
        away = [far(found, true) for true in t]
        others = [x for j, x in enumerate(away) if j != i]
        before = sum(1.0 if x < away[i] else 0.5 if x == away[i] else 0.0 for x in others)
        ranks.append(1 - before / len(others))
    return mean(ranks)


def ulm(values: Table, weights: Table) -> Table:
    """The slope of a line by least squares over its standard error."""
    out = []
    for x in values:
        row = []
        for w in columns(weights):
            square = math.fsum((v - mean(w)) ** 2 for v in w)
            slope = math.fsum((a - mean(w)) * (b - mean(x)) for a, b in zip(w, x, strict=True)) / square
            left = [b - mean(x) - slope * (a - mean(w)) for a, b in zip(w, x, strict=True)]
            row.append(slope / math.sqrt(math.fsum(v * v for v in left) / (len(x) - 2) / square))
        out.append(row)
    return out


def energy_distance(x: Table, y: Table, *, unbiased: bool = True) -> float:
    def within(a: Table) -> float:
        pairs = [math.dist(a[i], a[j]) for i, j in product(range(len(a)), repeat=2) if i != j or not unbiased]
        return mean(pairs)

    return 2 * mean([math.dist(a, b) for a, b in product(x, y)]) - within(x) - within(y)


def mmd(x: Table, y: Table) -> float:
    c = quantile([math.dist(a, b) ** 2 for a, b in combinations(y, 2)], 0.5)

    def k(a: Vector, b: Vector) -> float:
        return mean([s * c / (s * c + math.dist(a, b) ** 2) for s in (0.2, 1.0, 5.0)])

    within = [mean([k(a, b) for a, b in combinations(side, 2)]) for side in (x, y)]
    return within[0] + within[1] - 2 * mean([k(a, b) for a, b in product(x, y)])


def silhouette(a: Table, b: Table, of_a: list[str], of_b: list[str]) -> float:
    cells, labels, each = a + b, of_a + of_b, []
    for i, cell in enumerate(cells):
        far = {
            label: [math.dist(cell, x) for j, x in enumerate(cells) if j != i and labels[j] == label]
            for label in set(labels)
        }
        own = far.pop(labels[i])
        other = min(mean(x) for x in far.values())
        each.append((other - mean(own)) / max(other, mean(own)) if own else 0.0)
    return mean(each)


def coverage(truth: Table, lower: Table, upper: Table) -> Vector:
    rows = zip(truth, lower, upper, strict=True)
    held = [[float(lo <= v <= up) for v, lo, up in zip(*row, strict=True)] for row in rows]
    return [mean(column) for column in columns(held)]


def coverage_of(truth: Table, lower: Table, upper: Table, size: Table, n: int = 10) -> Vector:
    """Per row, coverage of the n features of largest size."""
    out = []
    for t, lo, up, s in zip(truth, lower, upper, size, strict=True):
        first = sorted(range(len(t)), key=lambda j: -abs(s[j]))[:n]
        out.append(mean([float(lo[j] <= t[j] <= up[j]) for j in first]))
    return out


def interval_score(truth: Table, lower: Table, upper: Table, level: float) -> Vector:
    out = []
    for t, lo, up in zip(columns(truth), columns(lower), columns(upper), strict=True):
        each = []
        for v, a, b in zip(t, lo, up, strict=True):
            missed = a - v if v < a else v - b if v > b else 0.0
            each.append(b - a + 2 / (1 - level) * missed)
        out.append(mean(each))
    return out


def crps(truth: Table, draws: list[Table], *, unbiased: bool = True) -> Vector:
    """Of one feature at a time, where the distance between two numbers is that of two vectors of one."""
    one = [[[[cell[j]] for cell in table] for table in [truth, *draws]] for j in range(len(truth[0]))]
    return [mean(energy_score(t, list(d), unbiased=unbiased)) for t, *d in one]


def energy_score(truth: Table, draws: list[Table], *, unbiased: bool = True) -> Vector:
    out = []
    for i, y in enumerate(truth):
        x = [table[i] for table in draws]
        pairs = [math.dist(x[a], x[b]) for a, b in product(range(len(x)), repeat=2) if a != b or not unbiased]
        out.append(mean([math.dist(v, y) for v in x]) - mean(pairs) / 2)
    return out


def crps_quantiles(truth: Table, quantiles: list[Table], levels: Vector) -> Vector:
    out = []
    for j, t in enumerate(columns(truth)):
        loss = []
        for table, level in zip(quantiles, levels, strict=True):
            for i, y in enumerate(t):
                q = table[i][j]
                loss.append(2 * (level * (y - q) if y > q else (1 - level) * (q - y)))
        out.append(mean(loss))
    return out


def pit(truth: Table, draws: list[Table]) -> float:
    values = []
    for i, row in enumerate(truth):
        for j, y in enumerate(row):
            x = [table[i][j] for table in draws]
            values.append(mean([1.0 if v < y else 0.5 if v == y else 0.0 for v in x]))
    up_to = [(mean([float(w <= v) for w in values]), mean([float(w < v) for w in values]), v) for v in values]
    return max(max(high - v, v - low) for high, low, v in up_to)


def pit_quantiles(truth: Table, quantiles: list[Table], levels: Vector) -> float:
    far = []
    for table, level in zip(quantiles, levels, strict=True):
        pairs = [(y, q) for row, at in zip(truth, table, strict=True) for y, q in zip(row, at, strict=True)]
        less, up_to = mean([float(y < q) for y, q in pairs]), mean([float(y <= q) for y, q in pairs])
        far.append(max(less - level, level - up_to, 0.0))
    return max(far)


def relative_width(truth: Table, lower: Table, upper: Table, level: float) -> Vector:
    out = []
    for t, lo, up in zip(columns(truth), columns(lower), columns(upper), strict=True):
        whole = quantile(t, (1 + level) / 2) - quantile(t, (1 - level) / 2)
        out.append(mean([b - a for a, b in zip(lo, up, strict=True)]) / whole if whole > 0 else float("nan"))
    return out


def wasserstein(x: Vector, y: Vector) -> float:
    """Area between two distribution functions."""
    at = sorted(x + y)
    below = [[mean([float(v <= place) for v in side]) for place in at] for side in (x, y)]
    return math.fsum(abs(below[0][i] - below[1][i]) * (at[i + 1] - at[i]) for i in range(len(at) - 1))


def mean_wasserstein(edges: list[tuple[str, str]], treated: dict[str, Table], controls: Table, names: list) -> float:
    far = []
    for source, target in edges:
        if source in treated and target in names:
            j = names.index(target)
            far.append(wasserstein([cell[j] for cell in controls], [cell[j] for cell in treated[source]]))
    return mean(far)


def left_out(edges: list[tuple[str, str]], sources: list[str], names: list[str]) -> set[tuple[str, str]]:
    """Pairs without a path from one to the other."""
    reached = {(source, source) for source in sources}
    while True:
        further = reached | {(source, b) for source, at in reached for a, b in edges if a == at}
        if further == reached:
            return {(source, target) for source in sources for target in names} - reached
        reached = further


def mann_whitney(x: Vector, y: Vector) -> float:
    """Two-sided p value by the normal approximation, with ties and continuity as scipy has them."""
    u = math.fsum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(x, y))
    n, both = len(x) + len(y), x + y
    ties = sum(both.count(v) ** 3 - both.count(v) for v in set(both))
    spread = math.sqrt(len(x) * len(y) / 12 * (n + 1 - ties / (n * (n - 1))))
    z = (max(u, len(x) * len(y) - u) - len(x) * len(y) / 2 - 0.5) / spread
    return min(math.erfc(z / math.sqrt(2)), 1.0)


def false_omission_rate(
    edges: list[tuple[str, str]], treated: dict[str, Table], controls: Table, names: list[str], level: float = 0.05
) -> float:
    found = []
    for source, target in left_out(edges, list(treated), names):
        j = names.index(target)
        p = mann_whitney([cell[j] for cell in controls], [cell[j] for cell in treated[source]])
        found.append(float(p < level))
    return mean(found)


def place_error(predicted: Table, true: Table) -> Vector:
    return [math.dist(p, t) for p, t in zip(predicted, true, strict=True)]


def map_nll(probability: Table, place: list[int]) -> Vector:
    return [-math.log(row[k]) for row, k in zip(probability, place, strict=True)]


def map_rank(probability: Table, place: list[int]) -> Vector:
    return [mean([float(p > row[k]) for p in row]) for row, k in zip(probability, place, strict=True)]
