"""Every score against its definition as plain loops, and against scipy and scikit-learn."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial.distance import cdist
from scipy.stats import energy_distance as scipy_energy
from scipy.stats import pearsonr
from sklearn import metrics as sk
from sklearn.neighbors import KNeighborsClassifier

from scvcell import score

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracle, parity = script("oracle"), script("parity")
PEERS = json.loads((BENCHMARKS / "results" / "parity.json").read_text())


def pair(n=24, d=5, noise=0.7, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, d))
    return a, a + noise * rng.normal(size=(n, d))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def exact(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


A, B = pair()
GRID = np.round(A), np.round(B)  # many distances are tied
LABELS = [np.random.default_rng(s).choice(["a", "b", "c", "rare"], 60, p=[0.5, 0.3, 0.15, 0.05]) for s in (1, 2)]
TYPES = [np.where(x[:, 0] > 0.4, "high", np.where(x[:, 1] > 0, "mid", "low")) for x in (A, B)]
LOWER, UPPER = A - 0.8, A + 0.5
CHANCE = np.round(np.random.default_rng(3).dirichlet(np.ones(7), 20) + 0.01, 2)  # probabilities, some of them tied
PLACES = np.random.default_rng(4).integers(7, size=20)
WIDE = np.random.default_rng(5).normal(size=(3, 4, 30))  # true effects, predicted ones, half-widths, significance
EFFECTS = WIDE[1], WIDE[0]
CHANGED = WIDE[2] > -0.5
ENDS = WIDE[1] - np.abs(WIDE[2]), WIDE[1] + np.abs(WIDE[2])
DRAWS = A + 0.9 * np.random.default_rng(6).normal(size=(9, *A.shape))
LEVELS = np.array([0.05, 0.5, 0.95])
QUANTILES = np.quantile(DRAWS, LEVELS, axis=0)
NAMES = [f"g{i}" for i in range(5)]
EDGES = [("g0", "g1"), ("g1", "g2"), ("g3", "g0"), ("g9", "g2"), ("g0", "elsewhere")]
TREATED = {name: np.round(B * (1 + i) + [0, 0.7, 0.3, 0, 1.5], 1) for i, name in enumerate(["g0", "g3", "g1"])}
NETWORK = EDGES, TREATED, np.round(A, 1), NAMES
PLAIN_NETWORK = EDGES, {k: v.tolist() for k, v in TREATED.items()}, np.round(A, 1).tolist(), NAMES


def plain(*arrays):
    return [x.tolist() for x in arrays]


METRICS = {
    "foscttm": lambda: (score.foscttm(A, B), oracle.foscttm(A.tolist(), B.tolist())),
    "match_recall": lambda: (score.match_recall(A, B, 3), oracle.match_recall(A.tolist(), B.tolist(), 3)),
    "label_transfer": lambda: (
        score.label_transfer(A, B, TYPES[0], TYPES[1], 3),
        oracle.label_transfer(A.tolist(), B.tolist(), *map(list, TYPES), 3),
    ),
    "overcorrection_canary": lambda: (
        score.overcorrection_canary(A, B, TYPES[0], TYPES[1], 3),
        oracle.overcorrection_canary(A.tolist(), B.tolist(), *map(list, TYPES), 3),
    ),
    "mixing": lambda: (score.mixing(A, B, 7), oracle.mixing(A.tolist(), B.tolist(), 7)),
    "pearson": lambda: (score.correlation(A, B), oracle.correlation(A.tolist(), B.tolist())),
    "cosine": lambda: (score.cosine(A, B), oracle.cosine(A.tolist(), B.tolist())),
    "rmse": lambda: (
        (score.rmse(A, B), score.rmse(A, B, average="features")),
        (oracle.rmse(A.tolist(), B.tolist()), oracle.rmse_per_feature(A.tolist(), B.tolist())),
    ),
    "nmae": lambda: (score.nmae(A, B), oracle.nmae(A.tolist(), B.tolist())),
    "nmse": lambda: (score.nmse(A, B), oracle.nmse(A.tolist(), B.tolist())),
    "r2": lambda: (score.r2(A[0], B[0]), oracle.r2(A[0].tolist(), B[0].tolist())),
    "r2_variance": lambda: (score.variance_r2(A, B), oracle.r2_variance(A.tolist(), B.tolist())),
    "accuracy": lambda: (score.accuracy(*LABELS), oracle.accuracy(*map(list, LABELS))),
    "macro_f1": lambda: (score.macro_f1(*LABELS), oracle.macro_f1(*map(list, LABELS))),
    "auroc": lambda: (score.auroc(GRID[0], B > 0.3), oracle.auroc(GRID[0].tolist(), (B > 0.3).tolist())),
    "pearson_effect": lambda: (score.pearson_effect(A[0], B[0]), oracle.pearson(A[0].tolist(), B[0].tolist())),
    "slope": lambda: (score.slope(A[0], B[0]), oracle.slope(A[0].tolist(), B[0].tolist())),
    "pds": lambda: (score.discrimination(A, B), oracle.pds(A.tolist(), B.tolist())),
    "pearson_perturbed": lambda: (
        score.pearson_perturbed(*EFFECTS, WIDE[2, 0]),
        oracle.pearson_perturbed(*plain(*EFFECTS, WIDE[2, 0])),
    ),
    "mrrmse": lambda: (score.mrrmse(*EFFECTS), oracle.mrrmse(*plain(*EFFECTS))),
    "nmae_significant": lambda: (
        score.nmae_significant(*EFFECTS, CHANGED),
        oracle.nmae_significant(*plain(*EFFECTS, CHANGED)),
    ),
    "mmd": lambda: (score.mmd(A, 1.5 * B), oracle.mmd(*plain(A, 1.5 * B))),
    "silhouette": lambda: (score.silhouette(A, B, *TYPES), oracle.silhouette(*plain(A, B, *TYPES))),
    "energy_distance": lambda: (
        [score.energy_distance(A, B, unbiased=u) for u in (True, False)],
        [oracle.energy_distance(A.tolist(), B.tolist(), unbiased=u) for u in (True, False)],
    ),
    "place_error": lambda: (score.place_error(A, B), oracle.place_error(A.tolist(), B.tolist())),
    "map_nll": lambda: (score.map_nll(CHANCE, PLACES), oracle.map_nll(CHANCE.tolist(), PLACES.tolist())),
    "map_rank": lambda: (score.map_rank(CHANCE, PLACES), oracle.map_rank(CHANCE.tolist(), PLACES.tolist())),
    "coverage": lambda: (score.coverage(B, LOWER, UPPER), oracle.coverage(*(x.tolist() for x in (B, LOWER, UPPER)))),
    "coverage_worst": lambda: (
        score.worst_coverage(B, LOWER, UPPER),
        min(oracle.coverage(*(x.tolist() for x in (B, LOWER, UPPER)))),
    ),
    "relative_width": lambda: (
        score.relative_width(B, LOWER, UPPER, 0.8),
        oracle.relative_width(*(x.tolist() for x in (B, LOWER, UPPER)), 0.8),
    ),
    "interval_score": lambda: (
        score.interval_score(B, LOWER, UPPER, 0.8),
        oracle.interval_score(*plain(B, LOWER, UPPER), 0.8),
    ),
    "coverage_strongest": lambda: (
        score.coverage_strongest(WIDE[0], *ENDS),
        oracle.coverage_of(*plain(WIDE[0], *ENDS, WIDE[0])),
    ),
    "coverage_chosen": lambda: (
        score.coverage_chosen(WIDE[0], *ENDS),
        oracle.coverage_of(*plain(WIDE[0], *ENDS, WIDE[1])),
    ),
    "crps": lambda: (
        [score.crps(B, DRAWS, unbiased=u) for u in (True, False)],
        [oracle.crps(*plain(B, DRAWS), unbiased=u) for u in (True, False)],
    ),
    "crps_quantiles": lambda: (
        score.crps_quantiles(B, QUANTILES, LEVELS),
        oracle.crps_quantiles(*plain(B, QUANTILES, LEVELS)),
    ),
    "energy_score": lambda: (
        [score.energy_score(B, DRAWS, unbiased=u) for u in (True, False)],
        [oracle.energy_score(*plain(B, DRAWS), unbiased=u) for u in (True, False)],
    ),
    "pit": lambda: (score.pit(np.round(B), np.round(DRAWS)), oracle.pit(*plain(np.round(B), np.round(DRAWS)))),
    "pit_quantiles": lambda: (
        score.pit_quantiles(B, QUANTILES, LEVELS),
        oracle.pit_quantiles(*plain(B, QUANTILES, LEVELS)),
    ),
    "mean_wasserstein": lambda: (score.mean_wasserstein(*NETWORK), oracle.mean_wasserstein(*PLAIN_NETWORK)),
    "false_omission_rate": lambda: (score.false_omission_rate(*NETWORK), oracle.false_omission_rate(*PLAIN_NETWORK)),
}


@pytest.mark.parametrize("name", METRICS)
def test_as_plain_loops(name):
    found, expected = METRICS[name]()
    close(found, expected)
    assert np.ptp(np.append(np.ravel(found), 0)) > 1e-3, "two zeros prove nothing"


def test_every_metric_of_ours_has_its_plain_loops():
    ours = {name for name in score.METRICS if score.METRICS[name].function.__module__.startswith("scvcell.score")}
    assert ours == set(METRICS)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_ties_as_plain_loops(k):
    a, b = GRID
    assert (cdist(a, b) == cdist(a, b).diagonal()[:, None]).sum() > 1.5 * len(a), "there are ties"
    close(score.foscttm(a, b), oracle.foscttm(a.tolist(), b.tolist()))
    close(score.match_recall(a, b, k), oracle.match_recall(a.tolist(), b.tolist(), k))
    both = score.match_scores(a, b)
    close(both["foscttm"], np.mean(oracle.foscttm(a.tolist(), b.tolist())))
    close(both["top1"], oracle.match_recall(a.tolist(), b.tolist()))


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "manhattan"])
def test_discrimination_by_every_distance_and_with_ties(distance):
    true, predicted = np.round(WIDE[0]), np.round(WIDE[0] + 2 * WIDE[1])
    close(score.discrimination(predicted, true, distance=distance), oracle.pds(*plain(predicted, true), distance))
    for same in (np.zeros_like(true), np.ones_like(true), np.tile(true[0], (4, 1))):
        assert score.discrimination(same, true, distance=distance) == 0.5, "exactly"


def test_ulm_as_plain_loops():
    weights = np.round(np.random.default_rng(7).normal(size=(30, 6)))
    close(score.ulm(WIDE[0], weights), oracle.ulm(*plain(WIDE[0], weights)))


def test_cosine_distance_as_plain_loops():
    close(score.foscttm(A, B, "cosine"), oracle.foscttm(A.tolist(), B.tolist(), "cosine"))
    with pytest.raises(ValueError, match="distance must be 'euclidean' or 'cosine', not 'manhattan'"):
        score.foscttm(A, B, "manhattan")


def test_scales_as_plain_loops():
    counts = np.random.default_rng(0).poisson(1.0, (20, 9)).astype(float)
    counts[0] = 0
    for scale in ("log_cp10k", "clr"):
        expected = getattr(oracle, scale)(counts.tolist())
        for held in (counts, sp.csr_matrix(counts), counts.astype(np.int32)):
            close(getattr(score, scale)(held), expected)
        assert getattr(score, scale)(sp.csr_matrix(counts.astype(np.float32))).dtype == np.float32


def test_neighbours_and_votes():
    near = score.nearest(A, B, 4)
    assert near.tolist() == [oracle.neighbours(x, B.tolist(), 4) for x in A.tolist()]
    alone = score.nearest(A, A, 4, exclude_self=True)
    assert alone.tolist() == [oracle.neighbours(x, A.tolist(), 4, i) for i, x in enumerate(A.tolist())]
    labels = LABELS[0][: len(B)]
    given = score.vote(near, labels)
    assert given.tolist() == oracle.vote(near.tolist(), labels.tolist())
    assert (given == KNeighborsClassifier(4).fit(B, labels).predict(A)).all()
    assert (score.votes(A, B, labels, 4).label == given).all()


def test_scipy_and_scikit_learn():
    exact(score.correlation(A, B), [pearsonr(a, b)[0] for a, b in zip(A.T, B.T, strict=True)])
    exact(score.pearson(A, B), pearsonr(A.ravel(), B.ravel())[0])
    exact(score.mse(A, B), sk.mean_squared_error(B, A))
    exact(score.rmse(A, B), sk.root_mean_squared_error(B.ravel(), A.ravel()))
    exact(score.rmse(A, B, average="features"), sk.root_mean_squared_error(B, A))
    exact(score.cosine(A, B), 1 - sk.pairwise.paired_cosine_distances(A, B))
    exact(score.label_scores(*LABELS)["accuracy"], sk.accuracy_score(LABELS[1], LABELS[0]))
    exact(score.label_scores(*LABELS)["macro_f1"], sk.f1_score(LABELS[1], LABELS[0], average="macro"))
    there = B > 0.3
    some = [i for i, row in enumerate(there) if 0 < row.sum() < len(row)]
    exact(score.auroc(A, there), sk.roc_auc_score(there[some].T, A[some].T, average="macro"))
    one, other = A[:, :1], B[:, :1]
    exact(score.energy_distance(one, other, unbiased=False), scipy_energy(one.ravel(), other.ravel()) ** 2)
    both, kinds = np.concatenate([A, B]), np.concatenate(TYPES)
    exact(score.silhouette(A, B, *TYPES), sk.silhouette_score(both, kinds))


def test_distances_between_sets_are_those_of_the_objective():
    torch = pytest.importorskip("torch")
    from scvcell.objective import mmd
    from scvcell.objective._pert import energy_distance

    close(score.mmd(A, B, scale=A.shape[1]), float(mmd(torch.from_numpy(A), torch.from_numpy(B))))

    a, b = pair(40)
    close(score.energy_distance(a, b), float(energy_distance(torch.from_numpy(a), torch.from_numpy(b))))
    rng = np.random.default_rng(0)
    none = [rng.normal(size=(2, 40, 50)) for _ in range(20)]
    assert abs(np.mean([score.energy_distance(*x) for x in none])) < 0.05
    assert np.mean([score.energy_distance(*x, unbiased=False) for x in none]) > 0.4


@pytest.mark.parametrize("told", PEERS["outputs"], ids=lambda told: f"{told['package']} {told['formula']}")
def test_what_other_packages_say_of_the_same_inputs(told):
    """Values that `benchmarks/parity.py` wrote with these packages at hand; here they are not needed."""
    given = {name: np.array(x) for name, x in PEERS["inputs"][told["inputs"]].items()}
    far, same = parity.within(told["formula"], told["package"], given, told["value"])
    assert same, far
    assert np.ptp(np.append(np.ravel(told["value"]), 0)) > 1e-3, "two zeros prove nothing"


def test_every_formula_that_is_compared_has_a_value():
    assert {told["formula"] for told in PEERS["outputs"]} == set(parity.OURS)
    (ties,) = [told for told in PEERS["outputs"] if told["formula"].endswith("all predictions the same")]
    given = {name: np.array(x) for name, x in PEERS["inputs"][ties["inputs"]].items()}
    assert parity.OURS[ties["formula"]](given) == ties["value"] == 0.5, "exactly"


def test_a_wrong_value_would_be_seen():
    told = next(told for told in PEERS["outputs"] if told["formula"] == "crps_quantile")
    given = {name: np.array(x) for name, x in PEERS["inputs"][told["inputs"]].items()}
    assert not parity.within("crps_quantile", told["package"], given, np.array(told["value"]) + 1e-9)[1]
