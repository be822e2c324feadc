import pytest
from typer.testing import CliRunner

from simmore import __main__ as command
from simmore import paths
from simmore.rl import policy


def train(*arguments):
    return CliRunner().invoke(command.app, ["train", *map(str, arguments)])


@pytest.fixture(autouse=True)
def build_in(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BUILD", tmp_path / "build")


def test_train_writes_one_file_and_keeps_dots_in_its_name(tmp_path):
    done = train(tmp_path / "ctrl_v1.5", "--steps", 10_000)
    file = tmp_path / "ctrl_v1.5.safetensors"
    assert done.exit_code == 0 and done.output.split() == ["wrote", str(file)], done.output
    assert policy.load(file).description["settings"]["total_steps"] == 10_000
    assert {each.name for each in tmp_path.iterdir()} == {"build", file.name}


def test_names_that_differ_after_a_dot_are_two_files(tmp_path):
    for name in ("ctrl_v1.5", "ctrl_v1.6"):
        assert train(tmp_path / name, "--steps", 5_000).exit_code == 0
    assert {"ctrl_v1.5.safetensors", "ctrl_v1.6.safetensors"} <= {each.name for each in tmp_path.iterdir()}
    assert isinstance(train(tmp_path / "ctrl_v1.5", "--steps", 5_000).exception, FileExistsError)


def test_a_place_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").touch()
    refused = train(tmp_path / "file" / "mine", "--steps", 5_000)
    assert isinstance(refused.exception, OSError) and not (tmp_path / "build").exists()


def test_train_overwrites_only_with_force(tmp_path):
    file = policy.load("heldout").save(tmp_path / "mine")
    before = file.read_bytes()
    refused = train(tmp_path / "mine", "--steps", 5_000)
    assert isinstance(refused.exception, FileExistsError) and "--force" in str(refused.exception)
    assert file.read_bytes() == before and not (tmp_path / "build").exists(), "refused before training"
    assert train(tmp_path / "mine", "--steps", 5_000, "--force").exit_code == 0
    assert file.read_bytes() != before
