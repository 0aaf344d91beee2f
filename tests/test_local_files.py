"""Files on this machine as a source: which are found, what is said of those that can't be, and what ~ means."""

import json
import os
import shutil
from pathlib import Path

import pytest
from helpers import Warehouse, event, song

from pipeline import packing
from pipeline.errors import PipelineError
from pipeline.settings import read_settings
from storage.local_files import walk

pytestmark = pytest.mark.stand_in_only

NOBODY = 65534  # the user id that owns nothing


@pytest.fixture(params=["", "temp"])
def sourced(tables: Warehouse, request: pytest.FixtureRequest) -> Warehouse:
    """Tables and a source, which COPY reads by its prefix or, with TEMP_DIR, by a list."""
    tables.write_songs([song()])
    tables.configure({("S3", "TEMP_DIR"): request.param or None, ("S3", "LOG_DATA"): "logs"})
    return tables


def write(path: Path, *events: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in events))


def test_link_to_a_folder_whose_name_the_own_begins_with_is_followed(sourced: Warehouse) -> None:
    write(sourced.folder / "logs/a.json", event())
    (sourced.folder / "logs-2018").mkdir()
    (sourced.folder / "logs-2018/extra").symlink_to("../logs")
    sourced.configure({("S3", "LOG_DATA"): "logs-2018"})
    sourced.load()
    assert sourced.counts()["songplays"] == 1


@pytest.mark.parametrize("target", [".", "..", "../.."])
def test_link_that_leads_back_is_not_followed(sourced: Warehouse, target: str) -> None:
    write(sourced.folder / "logs/2018/a.json", event())
    (sourced.folder / "logs/2018/again").symlink_to(target)
    sourced.load()
    assert sourced.counts()["staging_events"] == 1


def test_folder_that_cant_be_listed_fails_the_load(sourced: Warehouse) -> None:
    write(sourced.folder / "logs/a.json", event())
    folder = os.open(sourced.folder / "logs", os.O_RDONLY)
    for _ in range(17):  # root may list any folder, but none whose path is longer than 4,096 bytes
        os.mkdir("x" * 250, dir_fd=folder)
        inner = os.open("x" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    with pytest.raises(PipelineError, match=r"logs/xxx.*File name too long"):
        sourced.load()
    assert sourced.counts()["songplays"] == 0


def test_folder_that_we_may_not_list_fails_the_listing(tmp_path: Path) -> None:
    closed = tmp_path / "logs" / "2018"
    closed.mkdir(parents=True)
    tmp_path.chmod(0o711)
    closed.chmod(0)
    is_root = os.geteuid() == 0  # root may list any folder
    if is_root:
        os.seteuid(NOBODY)
    try:
        with pytest.raises(PermissionError):
            list(walk(f"{tmp_path}/logs/"))
    finally:
        if is_root:
            os.seteuid(0)
        closed.chmod(0o700)


@pytest.mark.parametrize("few", [0, 16])  # packed, if there is a TEMP_DIR
def test_plays_that_two_folders_have_are_told_apart_from_those_that_were_there(
    sourced: Warehouse, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(packing, "FEW", few)
    write(sourced.folder / "logs-2017/2017/a.json", event(itemInSession=9))
    sourced.load()  # what an earlier COPY read is not told again
    shutil.rmtree(sourced.folder / "logs-2017")
    for folder in ("logs/2018", "logs-old/2018"):
        write(sourced.folder / folder / "a.json", event(), event(itemInSession=1))
    write(sourced.folder / "logs/b.json", event(itemInSession=2))
    said = sourced.output()
    assert "; 5 plays staged: 3 new, 0 already there, 2 staged more than once; " in said
    assert f"2 folders match the prefix [S3] LOG_DATA, and COPY reads all of them: {sourced.folder}/logs-old/, " in said
    write(sourced.folder / "logs/c.json", event(itemInSession=2), event(itemInSession=3))
    sourced.configure({("S3", "LOG_DATA"): "logs/"})
    said = sourced.output(everything=True)
    assert "1 play loaded into" in said and "3 already there" in said and "folders match" not in said


def test_folders_that_a_copy_has_read_are_named_on_serverless_as_well(sourced: Warehouse) -> None:
    """Serverless has no STL views."""
    for number in (1, 2):
        write(sourced.folder / "logs-old/2017/a.json", event(itemInSession=number))
        sourced.load()  # what an earlier COPY read is not told again
    shutil.rmtree(sourced.folder / "logs-old")
    sourced.query("DROP VIEW local_redshift.stl_load_commits; COMMIT; SELECT 1")
    for folder in ("logs-a", "logs-b"):
        write(sourced.folder / folder / "a.json", event(itemInSession=1))
    assert f"COPY reads all of them: {sourced.folder}/logs-a/, {sourced.folder}/logs-b/\n" in sourced.output()


def test_file_with_a_slash_at_its_end_is_no_folder(sourced: Warehouse) -> None:
    write(sourced.folder / "logs/a.json", event())
    sourced.configure({("S3", "LOG_DATA"): "logs/a.json/"})
    assert "see [S3] LOG_DATA in" in sourced.refusal()


def test_files_beside_each_other_are_no_folders(sourced: Warehouse) -> None:
    for number in (1, 2):
        write(sourced.folder / f"logs/day-{number}.json", event())
    sourced.configure({("S3", "LOG_DATA"): "logs/day-"})
    said = sourced.output()
    assert ", 1 staged more than once" in said and "folders match" not in said


@pytest.mark.parametrize("pattern", ["logs[1]-", "lo*s-", "what?/logs"])
def test_ping_takes_a_prefix_as_it_stands(tables: Warehouse, pattern: str) -> None:
    tables.write_songs([song()])
    write(Path(f"{tables.folder}/{pattern}a.json"), event())
    tables.configure({("S3", "LOG_DATA"): pattern})
    assert tables.output("ping").count("can be read") == 2
    tables.configure({("S3", "LOG_DATA"): pattern + "x"})
    with pytest.raises(PipelineError, match="no file's name begins with this prefix"):
        tables.output("ping")


def test_tilde_is_the_home_folder(tables: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tables.folder / "home"
    write(home / "logs/a.json", event())
    write(home / "songs/a.json", song())
    (home / "paths.json").write_bytes(Path(tables.values["S3", "LOG_JSONPATH"]).read_bytes())
    monkeypatch.setenv("HOME", str(home))
    names = {"LOG_DATA": "~/logs", "SONG_DATA": "~/songs", "LOG_JSONPATH": "~/paths.json", "TEMP_DIR": "~/temp"}
    tables.configure({("S3", key): value for key, value in names.items()})
    tables.config.rename(home / "dwh.cfg")
    tables.config = Path("~/dwh.cfg")
    tables.run("etl.py", "--report", "~/report.json")
    assert json.loads((home / "report.json").read_text())["status"] == "succeeded"
    assert not list(tables.folder.rglob("~*"))
    tables.config = home / "dwh.cfg"
    tables.configure({("CLUSTER", "DATA_DIR"): "~/warehouse", ("CLUSTER", "SSLROOTCERT"): "~/root.crt"})
    settings = read_settings(tables.config)
    assert settings.data_dir == home / "warehouse" and settings.sslrootcert == f"{home}/root.crt"
