"""Provisioning gives a whole folder or none."""

from pathlib import Path

import pytest

from deploy.local.locks import try_to_hold
from deploy.local.provision import fingerprint_of, provision


def put_jar(folder: Path) -> None:
    (folder / "kafka.jar").write_text("jar")


def fail(folder: Path) -> None:
    put_jar(folder)
    raise ConnectionError("half way")


def never(_: Path) -> None:
    pytest.fail("it was there already")


def test_a_complete_folder_is_not_made_again(tmp_path: Path) -> None:
    provision(tmp_path / "kafka", "1", put_jar)
    assert (provision(tmp_path / "kafka", "1", never) / "kafka.jar").read_text() == "jar"


def test_an_interrupted_one_is_not_taken_for_complete(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        provision(tmp_path / "kafka", "1", fail)
    assert not (tmp_path / "kafka").exists()
    assert (provision(tmp_path / "kafka", "1", put_jar) / "kafka.jar").exists()


def test_a_folder_without_its_marker_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "half.jar").write_text("ha")
    folder = provision(tmp_path / "kafka", "1", put_jar)
    assert not (folder / "half.jar").exists()
    assert (folder / "kafka.jar").exists()


def test_other_inputs_make_it_anew(tmp_path: Path) -> None:
    provision(tmp_path / "kafka", fingerprint_of("4.3.0"), lambda folder: (folder / "old.jar").touch())
    folder = provision(tmp_path / "kafka", fingerprint_of("4.4.0"), put_jar)
    assert not (folder / "old.jar").exists()


def test_a_fingerprint_tells_where_one_part_ends() -> None:
    assert fingerprint_of("ab", "c") != fingerprint_of("a", "bc")


def test_the_lock_is_free_again_after_the_build(tmp_path: Path) -> None:
    provision(tmp_path / "kafka", "1", put_jar)
    assert try_to_hold(tmp_path / "kafka.lock") is not None
