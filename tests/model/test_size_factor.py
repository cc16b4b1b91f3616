"""Depth of cells over more genes than the data hold: `size_factor` of a fit, from the checks to the verbs."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from mudata import MuData

import scvcell
from scvcell import CSL
from scvcell._containers._matrix import Matrix
from scvcell._containers._read import view
from scvcell.measure import Context, Summary
from scvcell.measure._counts import Counts
from scvcell.model import _size_factor, warn_by_names
from scvcell.model._schema import Schema
from scvcell.response._bulk import Bulk
from scvcell.response._controls import Controls
from scvcell.state._front import FrontEnd

PANEL = 55
KEYS = scvcell.PerturbationKeys("drug", control="none")


def whole(n=240, genes=90, seed=0):
    """Three types; the drug doubles the first genes, which more of a panel are than of all; depth is over all genes."""
    rng = np.random.default_rng(seed)
    kind, drug = rng.integers(3, size=n), rng.integers(2, size=n)
    rate = rng.gamma(2.0, 1.5, genes) * np.where(np.arange(genes) % 3 == kind[:, None], 4.0, 1.0)
    rate = rate * np.where((np.arange(genes) < 25) & (drug[:, None] > 0), 2.0, 1.0) * rng.gamma(10, 0.1, (n, 1))
    obs = pd.DataFrame({"drug": np.array(["none", "A"])[drug]}, index=[f"cell{i}" for i in range(n)])
    adata = ad.AnnData(rng.poisson(rate).astype(np.float32), obs=obs)
    adata.var_names = [f"gene{i}" for i in range(genes)]
    adata.obs["total_counts"] = adata.X.sum(1)
    return adata


def chosen(data, **given):
    """The column of each modality that a set-up decides on."""
    (CSL.setup_mudata if isinstance(data, MuData) else CSL.setup_anndata)(data, **given)
    schema = Schema.from_dict(CSL(data).registry_["schema"])
    return {name: spec.size_factor for name, spec in schema.modalities.items()}


@pytest.fixture
def panel():
    return whole()[:, :PANEL].copy()


@pytest.fixture(scope="module")
def fitted(quick):
    """One fit of all genes, and one of some with the depth of all."""
    every = whole()
    some = every[:, :PANEL].copy()
    train = replace(quick, max_epochs=15)
    models = [scvcell.tl.fit(a, perturbation=KEYS, train=train) for a in (every, some)]
    return SimpleNamespace(every=every, some=some, whole=models[0], panel=models[1])


BAD = {
    "zero": (lambda t: np.where(np.arange(len(t)) == 3, 0, t), "above 0"),
    "negative": (lambda t: np.where(np.arange(len(t)) == 3, -t, t), "above 0"),
    "NaN": (lambda t: np.where(np.arange(len(t)) == 3, np.nan, t), "no finite number.*'cell3'"),
    "infinite": (lambda t: np.where(np.arange(len(t)) == 3, np.inf, t), "no finite number"),
    "text": (lambda t: np.array(["many"] * len(t)), "no finite number"),
    "boolean": (lambda t: t > 0, "no finite number"),
    "constant": (lambda t: np.full(len(t), 1e5), "for all cells"),
    "logarithms": (np.log1p, "less than the sum of the features"),
    "factors about 1": (lambda t: t / t.mean(), "less than the sum of the features"),
    "of fewer genes": (lambda t: 0.1 * t, "less than the sum of the features"),
}


class TestChecks:
    @pytest.mark.parametrize("how", BAD)
    def test_what_cannot_be_a_depth_is_refused_and_nothing_changes(self, panel, how, fingerprint):
        change, message = BAD[how]
        panel.obs["size"] = change(panel.obs["total_counts"].to_numpy(float))
        before = fingerprint(panel)
        with pytest.raises(ValueError, match=message):
            scvcell.tl.fit(panel, size_factor="size")
        assert fingerprint(panel) == before

    @pytest.mark.parametrize(
        ("given", "error", "message"),
        [
            ("totl_counts", ValueError, "total_counts"),
            ({"adt": "total_counts"}, ValueError, "'adt'"),
            ({"rna": "n_umi"}, ValueError, "Columns: drug, total_counts"),
            ({"rna": 3}, TypeError, "name of an obs column"),
            (["total_counts"], TypeError, "list"),
            (np.ones(3), TypeError, "ndarray"),
        ],
    )
    def test_what_is_no_column_is_refused(self, panel, given, error, message):
        with pytest.raises(error, match=message):
            scvcell.tl.fit(panel, size_factor=given)

    @pytest.mark.parametrize("operator", ["protein", "profile", "atac"])
    def test_an_operator_without_such_a_depth_is_refused(self, panel, operator):
        for given in ("total_counts", {"rna": "total_counts"}):
            with pytest.raises(ValueError, match="depth"):
                scvcell.tl.fit(panel, measure=operator, size_factor=given)

    @pytest.mark.parametrize("dtype", ["int64", "float32", "Int64", "Float64", object])
    def test_any_type_of_number_will_do(self, panel, dtype):
        panel.obs["size"] = panel.obs["total_counts"].astype(int).astype(dtype)
        assert chosen(panel, size_factor="size") == {"rna": "size"}


class TestWhichColumn:
    def test_the_usual_one_is_found_where_the_features_hold_less(self, panel):
        assert chosen(panel) == {"rna": "total_counts"}
        assert chosen(panel, size_factor={"rna": None}) == {"rna": None}
        assert chosen(whole()) == {"rna": None}
        assert chosen(whole(), size_factor="total_counts") == {"rna": None}, "it is the depth anyway"
        assert chosen(whole()[:, 2:].copy()) == {"rna": None}, "a few rare genes that were filtered"

    def test_the_usual_one_is_left_where_it_is_something_else(self, panel):
        for change in (np.log1p, lambda t: 0 * t + 1e4, lambda t: t / 10):
            panel.obs["total_counts"] = change(whole().obs["total_counts"])
            assert chosen(panel) == {"rna": None}

    @pytest.mark.parametrize("place", ["modality", "container"])
    def test_each_modality_has_its_own(self, panel, place):
        other = whole(seed=1)[:, :PANEL].copy()
        other.var_names = [f"{name}x" for name in other.var_names]
        mdata = MuData({"rna": panel, "nuclei": other[::-1].copy()})
        given = {"rna": "total_counts", "nuclei": "total_counts"}
        if place == "container":
            mdata.obs["one"], mdata.obs["two"] = whole().obs["total_counts"], whole(seed=1).obs["total_counts"]
            given = {"rna": "one", "nuclei": "two"}
        measure = {"nuclei": "counts"}
        assert chosen(mdata, measure=measure, size_factor=given) == given
        seen = view(mdata)
        for name, seed in (("rna", 0), ("nuclei", 1)):
            found = pd.Series(_size_factor.read(seen, name, given[name]), seen.modalities[name].obs_names)
            want = whole(seed=seed).obs["total_counts"]
            pd.testing.assert_series_equal(found.sort_index(), want.sort_index(), check_names=False)
        assert chosen(mdata, measure=measure, size_factor={"rna": given["rna"], "nuclei": None})["nuclei"] is None


GENOME = [f"GENE{i}" for i in range(3000)] + [f"AC{i:06d}.1" for i in range(60)]
RIBOSOME = [f"RP{s}{i}" for s in "LS" for i in range(3, 40)]


def named(names, n=40):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
    return ad.AnnData(rng.poisson(0.3, (n, len(names))).astype(np.float32), obs=obs, var=pd.DataFrame(index=names))


class TestWarning:
    def told(self, adata, caplog, **given):
        with caplog.at_level(logging.WARNING, "scvcell"):
            CSL.setup_anndata(adata, **given)
        return [r.getMessage() for r in caplog.records if "some of the genes" in r.getMessage()]

    @pytest.mark.parametrize("sign", ["highly_variable", "raw", "n_counts", "nCount_RNA", "log total_counts"])
    def test_a_subset_is_told_with_the_way_out(self, caplog, sign):
        adata = named(GENOME[1000:] if sign == "raw" else GENOME[:300])
        if sign == "highly_variable":
            adata.var["highly_variable"] = True
        if sign == "raw":
            adata.raw = named(GENOME)
        if sign.startswith("n"):
            adata.obs[sign] = adata.X.sum(1) * 3 + np.arange(adata.n_obs)
        if sign == "log total_counts":
            adata.var["highly_variable"] = True
            adata.obs["total_counts"] = np.log1p(adata.X.sum(1))
        (message,) = self.told(adata, caplog)
        assert "size_factor=" in message
        assert "{'rna': None}" in message
        if sign in ("n_counts", "nCount_RNA"):
            assert f"size_factor={sign!r}" in message
            assert chosen(adata, size_factor=sign) == {"rna": sign}
        caplog.clear()
        assert not self.told(adata, caplog, size_factor={"rna": None})

    @pytest.mark.parametrize("sign", ["names", "names and annotation"])
    def test_names_alone_tell_of_it_where_effects_are_to_be_learned(self, caplog, quick, sign):
        adata = named(GENOME[2500:])
        if sign != "names":
            adata.var["highly_variable"] = True
        assert bool(self.told(adata, caplog)) == (sign != "names")
        caplog.clear()
        adata.obs["drug"] = ["none", "A"] * 20
        scvcell.tl.fit(adata, perturbation=KEYS, train=replace(quick, max_epochs=1))
        assert len([r for r in caplog.records if "some of the genes" in r.getMessage()]) == 1
        caplog.clear()
        scvcell.tl.fit(adata, perturbation=KEYS, train=replace(quick, max_epochs=1), size_factor={"rna": None})
        assert not [r for r in caplog.records if "some of the genes" in r.getMessage()]

    @pytest.mark.parametrize(
        "names", [GENOME + RIBOSOME, GENOME[:300], GENOME[:120], [*GENOME, *map(str, range(7000))]]
    )
    def test_whole_transcriptomes_and_targeted_panels_are_not(self, caplog, names):
        adata = named(names)
        adata.obs["n_counts"] = adata.X.sum(1)
        adata.var["highly_variable"] = np.arange(len(names)) % 3 == 0
        assert not self.told(adata, caplog)
        warn_by_names(view(adata), Schema.from_dict(CSL(adata).registry_["schema"]).modalities, None)
        assert not [r for r in caplog.records if "some of the genes" in r.getMessage()]


def operator(features, depth, rest=None, **options):
    n = len(features)
    summary = Summary(
        n, 1, 1, *np.ones((2, 1, n), np.float32), np.float32([depth]), np.float32(features), np.array([9]), rest=rest
    )
    return Counts(3, summary, **options).eval()


class TestOperator:
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("likelihood", ["nb", "poisson"])
    def test_the_rest_counts_as_one_more_gene_would(self, likelihood, masked):
        torch.manual_seed(0)
        mean = [4.0, 2.0, 1.0, 3.0]
        ours = operator(mean, 30.0, 20.0, likelihood=likelihood)
        theirs = operator([*mean, 20.0], 30.0, likelihood=likelihood)
        z, x = torch.randn(6, 3), torch.poisson(torch.tensor(mean).expand(6, 4))
        depth = x.sum(1) + torch.arange(6.0) * 5
        ctx = Context(torch.ones(6, 1), torch.zeros(6, dtype=torch.long), depth)
        observed = (torch.arange(4) != 1).expand(6, 4) if masked else None
        with torch.no_grad():
            theirs.decoder.hidden.load_state_dict(ours.decoder.hidden.state_dict())
            theirs.decoder.out.weight.zero_()
            theirs.decoder.out.weight[:4] = ours.decoder.out.weight
            ours.rest.out.weight.zero_()
        every = None if observed is None else torch.cat([observed, torch.ones(6, 1, dtype=torch.bool)], 1)
        if masked:
            x[:, 1] = 0
            depth = x.sum(1) + torch.arange(6.0) * 5
            ctx = ctx.measured(depth)
        beside = torch.cat([x, (depth - x.sum(1))[:, None]], 1)
        torch.testing.assert_close(
            ours.frequency(z, ctx, observed), theirs.frequency(z, ctx, every)[:, :4], rtol=1e-4, atol=1e-6
        )
        if likelihood == "nb":
            torch.testing.assert_close(
                ours.log_prob(x, z, ctx, observed), theirs.log_prob(beside, z, ctx, every), rtol=1e-4, atol=1e-4
            )
        shift = torch.tensor([0.5, 0.0, -1.0, 0.2])
        torch.testing.assert_close(
            ours.shifted(z, ctx, shift).mean,
            theirs.shifted(z, ctx, torch.cat([shift, torch.zeros(1)])).mean[:, :4],
            rtol=1e-4,
            atol=1e-5,
        )

    @pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson"])
    def test_its_likelihood_is_finite_and_teaches_the_rest(self, likelihood):
        ours = operator([4.0, 2.0, 1.0], 30.0, 20.0, likelihood=likelihood)
        z, x = torch.randn(5, 3, requires_grad=True), torch.poisson(torch.full((5, 3), 2.0))
        ctx = Context(torch.ones(5, 1), torch.zeros(5, dtype=torch.long), x.sum(1) + torch.arange(5.0) * 40)
        value = ours.log_prob(x, z, ctx)
        assert value.isfinite().all()
        value.sum().backward()
        assert ours.rest.out.weight.grad.abs().sum() > 0

    @pytest.mark.parametrize("unit", [1.0, 7.0])
    def test_the_unit_of_the_depth_changes_nothing_of_what_encoders_see(self, unit):
        adata = whole()[:, :PANEL]
        rows, batch = np.arange(adata.n_obs), np.zeros(adata.n_obs, np.int64)
        out = []
        for scale in (1.0, unit):
            x = Matrix(adata.X, depth=(scale * adata.obs["total_counts"]).to_numpy(np.float32))
            front = FrontEnd(Counts, adata.n_vars, 1, 10)
            front.fit(x, rows, batch, np.random.default_rng(0))
            out.append(front(torch.from_numpy(front.scores(x, rows)), torch.from_numpy(batch)))
        torch.testing.assert_close(*out, rtol=0.02, atol=0.02)


class TestLife:
    def test_depths_and_shares_are_those_of_all_genes(self, fitted):
        assert fitted.panel.schema.modalities["rna"].size_factor == "total_counts"
        assert fitted.whole.schema.modalities["rna"].size_factor is None
        ours, theirs = (m.module.operators["rna"].typical_depth for m in (fitted.panel, fitted.whole))
        torch.testing.assert_close(ours, theirs)
        seen = [m.view(a) for m, a in ((fitted.panel, fitted.some), (fitted.whole, fitted.every))]
        depth = [m.readout(s, "rna").depth() for m, s in zip((fitted.panel, fitted.whole), seen, strict=True)]
        np.testing.assert_array_equal(*depth)
        bulks = [Bulk(m.readout(s, "rna")) for m, s in zip((fitted.panel, fitted.whole), seen, strict=True)]
        cells = np.array([5, 3, 3, 17, 100])
        for ours, theirs in zip(*(b.measured(cells) for b in bulks), strict=True):
            np.testing.assert_allclose(ours[:PANEL], theirs[:PANEL], rtol=1e-4, atol=1e-5)
            assert ours[-1] == pytest.approx(theirs[-1], rel=1e-5)
        ours, theirs = (b.replicates(cells, 2, np.random.default_rng(0)) for b in bulks)
        np.testing.assert_allclose(ours, theirs[:, :PANEL], rtol=1e-5)
        ours, theirs = (
            m.get_normalized_expression(a)
            for m, a in zip((fitted.panel, fitted.whole), (fitted.some, fitted.every), strict=True)
        )
        part = fitted.some.X.sum(1) / fitted.some.obs["total_counts"]
        assert ours.to_numpy().sum(1).mean() == pytest.approx(part.mean(), rel=0.1)
        assert np.corrcoef(ours.to_numpy().ravel(), theirs.to_numpy()[:, :PANEL].ravel())[0, 1] > 0.95

    def test_effects_are_those_that_all_genes_would_show(self, fitted):
        effect = [
            scvcell.tl.effects(a, m, "A").set_index("feature")["lfc"]
            for a, m in ((fitted.some, fitted.panel), (fitted.every, fitted.whole))
        ]
        ours, theirs = effect[0].align(effect[1], join="inner")
        assert len(ours) == PANEL
        np.testing.assert_allclose(ours, theirs, atol=0.1)
        x, treated = fitted.some.X, (fitted.some.obs["drug"] == "A").to_numpy()

        def measured(depth):
            value = np.log2(1 + 1e4 * x / np.asarray(depth)[:, None])
            return value[treated].mean(0) - value[~treated].mean(0)

        true, of_panel = measured(fitted.some.obs["total_counts"]), measured(x.sum(1))
        assert 5 * np.square(ours - true).mean() < np.square(of_panel - true).mean()

    def test_cells_after_an_action_have_the_effect_and_can_be_embedded(self, fitted):
        after = scvcell.tl.perturb(fitted.some, fitted.panel, "A", n_samples=10)
        assert (after.obs["total_counts"] >= np.asarray(after.X.sum(1)).ravel()).all()
        before = fitted.some[after.obs["source_cell"].astype(str)]

        def level(a):
            x = a.X.toarray() if hasattr(a.X, "toarray") else a.X
            return np.log2(1 + 1e4 * x / a.obs["total_counts"].to_numpy(float)[:, None]).mean(0)

        effect = scvcell.tl.effects(fitted.some, fitted.panel, "A").set_index("feature")["lfc"]
        np.testing.assert_allclose(level(after) - level(before), effect.loc[after.var_names], atol=0.1)
        assert np.isfinite(fitted.panel.get_latent_representation(after)).all()

    def test_values_that_verbs_make_are_encoded_at_the_depth_of_their_cells(self, fitted):
        start = Controls(fitted.some, fitted.panel, None)
        cells = np.array([4, 9, 9, 30])
        states = start.encode(cells, {"rna": fitted.some.X[cells]})
        np.testing.assert_allclose(states, fitted.some.obsm["X_csl"][cells], atol=1e-5)
        pooled = fitted.some.X[cells].sum(0, keepdims=True)
        own = start.whole["rna"].after(cells)
        np.testing.assert_array_equal(own, fitted.some.obs["total_counts"].iloc[cells])
        for depth in (None, {"rna": own.sum(keepdims=True)}):
            assert start.encode(cells[:1], {"rna": pooled}, depth).isfinite().all()

    def test_saved_and_read_it_is_the_same(self, fitted, tmp_path):
        again = CSL.load(fitted.panel.save(tmp_path / "model"))
        assert again.schema == fitted.panel.schema
        np.testing.assert_array_equal(again.get_latent_representation(fitted.some), fitted.some.obsm["X_csl"])
        ours, theirs = (scvcell.tl.translate(fitted.some, m, to="rna").X for m in (again, fitted.panel))
        np.testing.assert_array_equal(ours, theirs)

    @pytest.mark.parametrize("verb", ["embed", "translate", "perturb", "query"])
    def test_data_without_the_column_are_refused_by_name(self, fitted, verb, fingerprint):
        bare = fitted.some.copy()
        del bare.obs["total_counts"]
        run = {
            "embed": lambda: scvcell.tl.embed(bare, fitted.panel),
            "translate": lambda: scvcell.tl.translate(bare, fitted.panel, to="rna"),
            "perturb": lambda: scvcell.tl.perturb(bare, fitted.panel, "A"),
            "query": lambda: fitted.panel.load_query_data(bare),
        }
        before = fingerprint(bare)
        with pytest.raises(ValueError, match="size_factor='total_counts'"):
            run[verb]()
        bare.obs["total_counts"] = np.log1p(fitted.some.obs["total_counts"])
        with pytest.raises(ValueError, match="less than the sum"):
            run[verb]()
        del bare.obs["total_counts"]
        assert fingerprint(bare) == before

    def test_permuted_cells_and_missing_genes(self, fitted):
        order = np.random.default_rng(0).permutation(fitted.some.n_obs)
        found = fitted.panel.get_latent_representation(fitted.some[order])
        np.testing.assert_allclose(found, fitted.some.obsm["X_csl"][order], atol=1e-5)
        fewer = fitted.panel.get_latent_representation(fitted.some[:, 5:])
        apart = np.abs(fewer - fitted.some.obsm["X_csl"]).mean()
        assert apart < 0.3 * np.abs(fitted.some.obsm["X_csl"]).mean()

    def test_a_query_brings_its_own_depth(self, quick):
        reference = whole()[:, :PANEL].copy()
        reference.obs["batch"] = "a"
        model = scvcell.tl.fit(reference, batch_key="batch", train=replace(quick, max_epochs=2))
        query = whole(seed=0)[:120, :PANEL].copy()
        query.obs["batch"], query.obs["total_counts"] = "b", 2 * query.obs["total_counts"]
        extended = model.load_query_data(query, train=replace(quick, max_epochs=1))
        depth = extended.module.operators["rna"].typical_depth
        assert float(depth[1]) == pytest.approx(query.obs["total_counts"].median(), rel=1e-5)
        assert np.isfinite(extended.get_latent_representation(query)).all()

    def test_a_model_saved_before_there_was_such_a_column(self):
        spec = {"operator": "counts", "features": ["a"], "options": {}, "layer": None}
        plain = {
            "modalities": {"rna": spec},
            "batch_key": None,
            "batches": ["all"],
            "categorical": {},
            "continuous": {},
        }
        assert Schema.from_dict(plain).modalities["rna"].size_factor is None


@pytest.mark.parametrize("given", [["total"], ["rna=total"]])
def test_the_command_line(tmp_path, given, capsys):
    from scvcell._cli import main

    adata = whole()[:, :PANEL].copy()
    adata.obs = adata.obs.rename(columns={"total_counts": "total"})
    adata.write_h5ad(tmp_path / "in.h5ad")
    args = [arg for item in given for arg in ("--size-factor", item)]
    assert main(["fit", str(tmp_path / "in.h5ad"), str(tmp_path / "out"), "--max-epochs", "1", *args]) == 0
    assert CSL.load(tmp_path / "out" / "model").schema.modalities["rna"].size_factor == "total"
