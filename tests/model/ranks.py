"""What two ranks do, started as torchrun would: writes what each found to FOLDER/RANK.json. Not a test itself."""

import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from anndata import AnnData, read_zarr
from mudata import MuData

import scvcell
from scvcell import _folder
from scvcell._ranks import rank, world
from scvcell.model._optimise import TrainingPlan
from scvcell.model._pairs import Matches
from scvcell.model._processes import Told, add_gradients
from scvcell.state import Posterior

TRAIN = scvcell.TrainConfig(
    max_epochs=4, progress=False, accelerator="cpu", validation=0.1, batch_size=48, minutes=0, patience=1, kl_warmup=0.1
)


class Killed(Exception):
    """As if the process were gone."""


def cells():
    return scvcell.datasets.simulate(260, n_genes=30, n_proteins=5, paired=0.2, seed=1)


def rare():
    """Proteins of five cells, an endpoint of seven, and a guidance graph."""
    data = scvcell.datasets.simulate(200, n_genes=60, n_proteins=5, n_peaks=60, paired=0.5, seed=2)
    data.mod["adt"] = data.mod["adt"][:5].copy()
    few = data.mod["rna"][-7:]
    data.mod["viability"] = AnnData(np.arange(7, dtype=np.float32)[:, None] / 7, few.obs[[]].copy())
    out = MuData(dict(data.mod.items()))
    out.obs = data.obs.loc[out.obs_names]
    return out


def parameters(model):
    return torch.cat([p.detach().reshape(-1) for p in model.network.parameters()]).double()


def same_on_ranks(values):
    parts = [torch.zeros_like(values) for _ in range(world())]
    torch.distributed.all_gather(parts, values)
    return all(torch.equal(part, parts[0]) for part in parts)


def gradients(model, data, where, *, confident):
    """Relative difference between the gradient of two ranks and of one process, by term; noise off."""
    network, seen = model.network, model.view(data)
    source = model.source(seen)
    if confident:
        pairs = np.flatnonzero(source.rows["rna"] >= 0)[:20].reshape(2, 10)
        source = source.matched(Matches(*pairs, np.linspace(0.5, 1, 10).astype(np.float32)))
    sample = Posterior.sample
    Posterior.sample = lambda self: self.mean
    wanted = list(network.parameters())
    whole = source.cut(where)
    ranks = [where[i::2] for i in range(2)]
    mine = source.cut(ranks[rank()], ranks=ranks)

    def gradient(batch, name):
        for p in wanted:
            p.grad = None
        torch.manual_seed(0)
        terms = network.terms(batch)
        value = terms[name] if name != "loss" else torch.stack(list(terms.values())).sum()
        if batch.ranks:
            value = value * (len(batch) * 2 / batch.n_global)
        value.backward() if value.requires_grad else None
        if batch.ranks:
            add_gradients(wanted, Told(False, 0, False), 2)
        has = [p.grad is not None for p in wanted]
        return has, torch.cat(
            [(p.grad if p.grad is not None else torch.zeros_like(p)).reshape(-1) for p in wanted]
        ).double()

    out = {}
    for name in [*network.terms(whole), "loss"]:
        (has, one), (also, two) = gradient(whole, name), gradient(mine, name)
        out[name] = [float(one.norm()), float((one - two).norm() / max(float(one.norm()), 1e-30)), has == also]
    Posterior.sample = sample
    return out


def fits(folder):
    """A fit of two ranks, with what it writes, and one that is killed and gone on with."""
    out = {}
    data, sample, noise = cells(), Posterior.sample, []

    def sampled(self):
        noise.append(torch.get_rng_state()[24:524])
        return sample(self)

    step, seen = TrainingPlan.training_step, []

    def noted(self, batch, index):
        seen.append(batch.index.tolist())
        return step(self, batch, index)

    Posterior.sample, TrainingPlan.training_step = sampled, noted
    model = scvcell.tl.fit(data, batch_key="batch", train=TRAIN)
    Posterior.sample, TrainingPlan.training_step = sample, step
    out["cells"] = seen[:4]
    end = parameters(model)
    out["saved"] = saved(model, folder / "model")
    out["same"] = same_on_ranks(end)
    out["draws"] = same_on_ranks(torch.rand(3).double())
    out["noise"] = not same_on_ranks(torch.cat(noise[:4]).double())
    out["history"] = {k: v.to_numpy().ravel().tolist() for k, v in model.history.items()}
    out["latent"] = float(np.abs(data.obsm["X_csl"]).sum())
    out["calibration"] = {k: float(np.sum(v["pool"])) for k, v in model.calibration.arrays.items()}
    out["matched"] = model.matched
    steps = []

    def killed(self, batch, index):
        steps.append(1)
        if len(steps) == 9:
            raise Killed
        return step(self, batch, index)

    TrainingPlan.training_step = killed
    train = replace(TRAIN, checkpoint=folder / "kept")
    try:
        scvcell.tl.fit(cells(), batch_key="batch", train=train)
    except Killed:
        out["killed"] = True

    def counted(self, batch, index):
        steps.append(1)
        return step(self, batch, index)

    TrainingPlan.training_step = counted
    out["resumed"] = torch.equal(parameters(scvcell.tl.fit(cells(), batch_key="batch", train=train)), end)
    out["steps"] = [len(seen), len(steps)]
    return out


def saved(model, path):
    """What each rank reads as soon as a slow disk has its model, and the error of each where it is there already.

    And a table of states that all of them ask for.
    """
    write = _folder.write

    def slow(*args, **options):
        time.sleep(0.3)
        write(*args, **options)

    _folder.write = slow
    model.save(path)
    _folder.write = write
    same = torch.equal(parameters(scvcell.CSL.load(path)), parameters(model))
    data = cells()
    scvcell.tl.embed(data, model, out=path.with_name("states.zarr"))
    states = read_zarr(path.with_name("states.zarr")).obsm["X_csl"]
    np.testing.assert_allclose(states, model.get_latent_representation(data), atol=1e-6)
    try:
        model.save(path)
    except FileExistsError as error:
        return [same, str(error)]


def main(folder):
    out = {"rank": int(os.environ["RANK"])}
    torch.distributed.init_process_group("gloo")
    data = rare()
    graph = scvcell.pp.link_features(data, modalities=("rna", "atac"))
    model = scvcell.tl.fit(
        data,
        batch_key="batch",
        measure={"viability": ("endpoint", {"kind": "continuous"})},
        priors=graph,
        train=replace(TRAIN, max_epochs=2),
    )
    out["rare"] = same_on_ranks(parameters(model))
    seen = model.view(data)
    special = np.flatnonzero(seen.present("adt") | seen.present("viability"))
    others = np.setdiff1d(np.arange(seen.n_obs), special)[:90]
    where = np.stack([np.concatenate([special, others[: 51 - len(special)]]), others[-51:]], 1).ravel()
    model.network.eval()
    out["gradients"] = gradients(model, data, where, confident=False)
    out["confident"] = gradients(model, data, where, confident=True)
    out |= fits(folder)
    (folder / f"{rank()}.json").write_text(json.dumps(out))
    out["lost"] = bereft(folder)
    (folder / f"{rank()}.json").write_text(json.dumps(out))


def bereft(folder):
    """What the first rank says, and after how many seconds, when the second one is killed in its second epoch."""
    step, said = TrainingPlan.training_step, []

    def gone(self, batch, index):
        if self.global_step == 7:
            if rank() == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            said.append(time.monotonic())
        return step(self, batch, index)

    TrainingPlan.training_step = gone
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("scvcell").addHandler(handler)
    try:
        scvcell.tl.fit(cells(), batch_key="batch", train=replace(TRAIN, checkpoint=folder / "bereft"))
    except RuntimeError:
        return [time.monotonic() - said[0], said[1]]


def alone(folder):
    """A fit of one process that is gone in its ninth step."""
    step = TrainingPlan.training_step

    def killed(self, batch, index):
        if self.global_step == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, batch, index)

    TrainingPlan.training_step = killed
    scvcell.tl.fit(cells(), batch_key="batch", train=replace(TRAIN, checkpoint=folder / "alone"))


def start(work, **environment):
    """Number of a new process that does `work`; it is forked, as it would take seconds to import all anew."""
    child = os.fork()
    if child == 0:
        os.environ |= environment
        try:
            work(Path(sys.argv[1]))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    torch.set_num_threads(1)
    torchrun = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GROUP_RANK": "0"}
    torchrun |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    children = [start(main, RANK=number, LOCAL_RANK=number, **torchrun) for number in "01"]
    children.append(start(alone))
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.exit(ends != [0, -signal.SIGKILL, -signal.SIGKILL])
