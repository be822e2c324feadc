"""Measuring tests use locks of their own: they neither wait for other measurements on this machine nor disturb them."""

import tempfile

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = str(tmp_path_factory.mktemp("locks"))
        patch.setenv("TMPDIR", folder)  # of measuring processes
        patch.setattr(tempfile, "tempdir", folder)  # of this one
        yield
