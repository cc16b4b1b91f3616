import subprocess
import sys

import pytest

from scvcell import pl


def test_plots_load_neither_torch_nor_scanpy():
    code = "import sys, scvcell.pl; sys.exit('torch' in sys.modules or 'scanpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", pl.__all__)
def test_public_plots_are_documented(name):
    doc = getattr(pl, name).__doc__
    assert "Parameters" in doc
    assert "Returns" in doc
    assert "Raises" in doc
