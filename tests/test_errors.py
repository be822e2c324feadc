import sys

import pytest

from simmore.errors import MissingPackage, needs


def test_the_error_for_a_missing_package_names_the_command_that_installs_it(monkeypatch):
    with pytest.raises(MissingPackage, match=r"'nowhere'.*pip install -e '\.\[all\]'.*make"), needs("nowhere"):
        import nowhere  # noqa: F401
    monkeypatch.setitem(sys.modules, "xautodl", None)
    with (
        pytest.raises(ImportError, match=r"pip install --no-deps xautodl==1\.0\.0"),
        needs("torch", "xautodl"),
    ):
        import xautodl.models  # noqa: F401


def test_needs_passes_other_errors_on():
    with pytest.raises(ModuleNotFoundError, match="nowhere"), needs("torch"):
        import nowhere  # noqa: F401
    with pytest.raises(ZeroDivisionError), needs("torch"):
        1 / 0  # noqa: B018
