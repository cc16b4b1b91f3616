"""A run that is killed goes on where it was, and processes, orders and kills change no byte."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import pytest

from scvcell.risk._run import FORMAT, MARK, run_tasks

MODULE = '''
"""Cheap tasks: draws, of which each leaves a line in a file, sleeps, or fails."""
import os, time
from dataclasses import dataclass

@dataclass(frozen=True)
class Draw:
    number: int
    trace: str = ""
    fails: str = ""
    seconds: float = 0.0

    @property
    def key(self):
        return {"task": "draw", "number": self.number, "seed": 3}

    def __call__(self, rng):
        if self.trace:
            with open(self.trace, "a") as file:
                file.write(f"{self.number}\\n")
        time.sleep(self.seconds)
        if self.fails == "exit":
            os._exit(1)
        if self.fails:
            raise ValueError(self.fails)
        return {"value": rng.normal(), "draws": rng.normal(size=3), "none": float("nan"), "most": float("inf")}
'''
KILLED = """
import sys, types, scvcell
package = types.ModuleType("scvcell.risk")  # the real one imports torch, which takes seconds
package.__path__ = [scvcell.__path__[0] + "/risk"]
sys.modules["scvcell.risk"] = package
from scvcell.risk._run import run_tasks
from counted import Draw
cache, trace = sys.argv[1:]
run_tasks([Draw(i, trace, seconds=0.005) for i in range(60)], cache=cache)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tasks")
    (path / "counted.py").write_text(MODULE)
    return path


@pytest.fixture(scope="module")
def draw(folder):
    """The class of tasks, in a module that other processes find."""
    sys.path.insert(0, str(folder))
    import counted

    yield counted.Draw
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def whole(draw):
    """What an undisturbed run in one process answers, as text."""
    return json.dumps(run_tasks([draw(i) for i in range(60)]))


def numbers(trace):
    """What tasks left in their file: those that were begun."""
    return [int(line) for line in trace.read_text().split()] if trace.exists() else []


def test_answers_come_in_the_order_of_the_tasks(draw, whole):
    found = json.loads(whole)
    assert len({record["value"] for record in found}) == 60
    order = list(range(60))
    random.Random(0).shuffle(order)
    shuffled = run_tasks([draw(i) for i in order])
    assert json.dumps([shuffled[order.index(i)] for i in range(60)]) == whole


def test_a_killed_run_goes_on_where_it_was(folder, draw, whole, tmp_path):
    cache, trace = tmp_path / "records", tmp_path / "trace"
    kills, moments = 0, random.Random(1)
    for _ in range(5):
        begun = len(numbers(trace))
        command = [sys.executable, "-c", KILLED, str(cache), str(trace)]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])})
        while len(numbers(trace)) == begun and process.poll() is None:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.06))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        done = len([file for file in cache.iterdir() if len(file.stem) == 64 and not file.name.startswith(".")])
        assert len(numbers(trace)) <= done + kills, "only what was being worked on is repeated"
    assert kills == 5
    assert 0 < done < 60
    assert json.dumps(run_tasks([draw(i, str(trace)) for i in range(60)], cache=cache)) == whole
    assert len(numbers(trace)) <= 60 + kills
    before = sorted(numbers(trace))
    assert json.dumps(run_tasks([draw(i, str(trace)) for i in range(60)], cache=cache)) == whole
    assert sorted(numbers(trace)) == before, "a finished run works on nothing"


def test_two_processes_give_the_same_bytes(draw, whole, tmp_path):
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        found = run_tasks([draw(i) for i in range(60)], executor=pool, cache=tmp_path / "records")
        assert json.dumps(found) == whole
        assert json.dumps(run_tasks([draw(i) for i in range(60)], cache=tmp_path / "records")) == whole
        tasks = [draw(i, fails="exit" * (i == 30)) for i in range(60)]
        with pytest.raises(BrokenProcessPool) as broken:
            run_tasks(tasks, executor=pool, cache=tmp_path / "others")
    (note,) = broken.value.__notes__
    kept = len(list((tmp_path / "others").glob("?" * 64 + ".json")))
    assert note.startswith(f"{kept} of 60 tasks are done and kept in '{tmp_path / 'others'}'. To go on, run the same")
    assert json.dumps(run_tasks([draw(i) for i in range(60)], cache=tmp_path / "others")) == whole


def test_a_cluster_gives_the_same_bytes(folder, draw, whole):
    distributed = pytest.importorskip("distributed", reason="needs dask's distributed, which the extra spatial has")
    quiet = {"dashboard_address": None, "silence_logs": 50}
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, **quiet)
    with cluster, distributed.Client(cluster) as client:
        found = run_tasks([draw(i) for i in range(60)], executor=client.get_executor(retries=3))
    assert json.dumps(found) == whole


def test_a_task_that_fails_is_tried_again(draw, whole, tmp_path, caplog):
    tasks = [draw(i, fails="no cells" * (i % 20 == 7)) for i in range(60)]
    for executor in (None, ThreadPoolExecutor(2)):
        found = run_tasks(tasks, cache=tmp_path / f"{executor is None}", executor=executor)
        assert [i for i, record in enumerate(found) if "failed" in record] == [7, 27, 47]
        assert found[27] == {"failed": "ValueError: no cells"}
        assert '"number":27' in caplog.text
        again = run_tasks([draw(i, str(tmp_path / "trace")) for i in range(60)], cache=tmp_path / f"{executor is None}")
        assert json.dumps(again) == whole
        assert numbers(tmp_path / "trace") == [7, 27, 47]
        (tmp_path / "trace").unlink()


def test_an_interruption_keeps_what_is_done(draw, whole, tmp_path):
    class Impatient(Executor):
        """Whose user presses Ctrl-C when the 20th task is handed over; 3 tasks wait, and can be taken back."""

        handed = 0

        def submit(self, function, task):
            self.handed += 1
            if self.handed > 20:
                raise KeyboardInterrupt
            future = Future()
            if self.handed % 7:
                future.set_result(function(task))
            return future

    with pytest.raises(KeyboardInterrupt) as stopped:
        run_tasks([draw(i) for i in range(60)], cache=tmp_path, executor=Impatient())
    assert "18 of 60 tasks are done and kept" in stopped.value.__notes__[0]
    with pytest.raises(KeyboardInterrupt) as stopped:
        run_tasks([draw(i) for i in range(60)], executor=Impatient())
    assert "nothing was kept. Give cache='folder'" in stopped.value.__notes__[0]
    trace = tmp_path.parent / "interrupted"
    assert json.dumps(run_tasks([draw(i, str(trace)) for i in range(60)], cache=tmp_path)) == whole
    assert numbers(trace) == [6, 13, *range(20, 60)]


def test_records_that_are_not_whole_are_made_again(draw, whole, tmp_path):
    tasks = [draw(i, str(tmp_path / "trace")) for i in range(60)]
    run_tasks(tasks, cache=tmp_path / "records")
    files = sorted((tmp_path / "records").glob("?" * 64 + ".json"))
    assert len(files) == 60
    half, empty, other, binary = files[:4]
    half.write_bytes(half.read_bytes()[:40])
    empty.write_bytes(b"")
    other.write_text(other.read_text().replace('"most": Infinity', '"most": 1.0'))
    binary.write_bytes(b"\xff\x00" * 20)
    (tmp_path / "trace").unlink()
    assert json.dumps(run_tasks(tasks, cache=tmp_path / "records")) == whole
    assert len(numbers(tmp_path / "trace")) == 4
    files[4].write_bytes(files[5].read_bytes())
    (tmp_path / "trace").unlink()
    with pytest.raises(ValueError, match=r"is the record of another task: \{.*Delete it, or give another cache"):
        run_tasks(tasks, cache=tmp_path / "records")
    assert not (tmp_path / "trace").exists()


def test_a_folder_of_something_else_is_refused_before_work(draw, tmp_path):
    trace = tmp_path / "trace"
    tasks = [draw(0, str(trace))]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / MARK).write_text(json.dumps(FORMAT | {"format": 2}))
    for name in ("mine", "newer"):
        with pytest.raises(ValueError, match=rf"{name}' holds something else than records of format 1. Give another"):
            run_tasks(tasks, cache=tmp_path / name)
    with pytest.raises(ValueError, match=r"notes\.txt' is a file. Give a folder"):
        run_tasks(tasks, cache=tmp_path / "mine" / "notes.txt")
    with pytest.raises(OSError, match=r"The cache '.*below' cannot be written to: Not a directory"):
        run_tasks(tasks, cache=tmp_path / "mine" / "notes.txt" / "below")
    with pytest.raises(ValueError, match=r'Tasks 0 and 2 have the same key, \{"number":0,.*leave out tasks'):
        run_tasks([draw(0), draw(1), draw(0)])
    assert not trace.exists()
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["notes.txt"]
    assert run_tasks([]) == []


def test_progress_says_how_long_it_takes(draw, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr("scvcell._calm.Bar.__init__.__kwdefaults__", {"shown": True, "delay": 0.0})
    run_tasks([draw(i) for i in range(60)])
    lines = capsys.readouterr().err.splitlines()
    assert 1 < len(lines) <= 10
    assert lines[-1].startswith("Tasks: 60 of 60, ")
    assert lines[-1].endswith("minutes left 0")
    run_tasks([draw(i) for i in range(60)], progress=False)
    assert capsys.readouterr().err == ""
