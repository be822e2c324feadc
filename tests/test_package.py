"""The package from outside: what `import simmore` costs and offers."""

import subprocess
import sys
import textwrap

import pytest

import simmore


def test_importing_the_package_imports_nothing_large():
    code = "import simmore, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "matplotlib", "gymnasium", "scipy"} & set(said)


def test_a_search_needs_neither_torch_nor_plots_nor_gymnasium():
    code = "import simmore, sys; simmore.search('nats_gpu', 'paper', budget=2); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "matplotlib", "gymnasium", "stable_baselines3", "onnx"} & set(said)


def test_every_public_name_can_be_imported():
    assert all(callable(getattr(simmore, name)) for name in simmore.__all__)
    assert set(simmore.__all__) <= set(dir(simmore))
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        simmore.serch  # noqa: B018


def test_cells_are_converted_between_their_forms():
    arch = simmore.to_arch("421211")
    assert arch == 0 and simmore.to_ops(arch).tolist() == [4, 2, 1, 2, 1, 1]
    assert simmore.to_arch(simmore.to_string(arch)) == arch


def test_searching_on_tables_needs_nothing_that_windows_lacks():
    code = """
        import os, signal, sys
        sys.modules["fcntl"] = sys.modules["resource"] = sys.modules["pwd"] = None  # importing them fails
        for name in ("sched_getaffinity", "sched_setaffinity", "fork", "killpg", "getuid"):
            if hasattr(os, name):
                delattr(os, name)
        import simmore
        print(simmore.search("nats_gpu", budget=2).n_measured)
        import simmore.hardware.live, simmore.hardware.benchmarked, simmore.hardware.worker
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.strip() == "2", done.stderr
