from importlib.metadata import version

from simmore import paths, provenance


def test_commit_has_forty_digits_in_a_checkout_and_is_unknown_outside(tmp_path, monkeypatch):
    commit, _, dirty = provenance.commit().partition("-")
    assert commit == "unknown" or (len(commit) == 40 and int(commit, 16) and dirty in ("", "dirty"))
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    assert provenance.commit() == "unknown"


def test_machine_facts_are_filled_in():
    machine = provenance.machine()
    assert list(machine) == ["processor", "model", "instructions", "cores", "system", "python"]
    assert int(machine["cores"]) >= 1 and machine["system"]


def test_versions_are_those_of_the_installed_packages():
    assert provenance.versions("numpy", "pandas") == {"numpy": version("numpy"), "pandas": version("pandas")}
