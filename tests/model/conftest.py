"""A model of a small mosaic; and processes of their own: two that train together, and one that is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import scvcell


@pytest.fixture(scope="session")
def ranks(tmp_path_factory):
    """What each of two ranks found, see ranks.py, what they wrote, and what a killed process kept."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-W", "ignore", Path(__file__).with_name("ranks.py"), folder]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads((folder / f"{number}.json").read_text()) for number in range(2)]
    return SimpleNamespace(found=found, folder=folder)


@pytest.fixture(scope="module")
def setting(mosaic, quick):
    """Cells of which some have RNA, some proteins and some both, and a model that was fitted on them; read only."""
    mdata = mosaic(130)
    return mdata, scvcell.tl.fit(mdata, batch_key="batch", train=quick)
