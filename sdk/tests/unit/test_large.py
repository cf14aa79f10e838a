"""What is large on the wire though it looked small: nothing may go into the spool that nobody can take out again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

import argus
from argus.courier import orphans
from argus.settings import settings
from argus_contracts.quantities import MAX_EVENT_BYTES
from argus_contracts.registry import parse_event
from argus_testkit.waiting import eventually


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argus.Run:
    for name in ("ARGUS_URL", "ARGUS_TOKEN", "ARGUS_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return argus.init(project="large", spool_dir=tmp_path / "spool", resource_interval_s=0)


def left_in_the_spool(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Per kind, every event that the next process can read, each checked against its class and the limit."""
    where = settings(spool_dir=folder)
    found: dict[str, list[dict[str, Any]]] = {}
    given_up = eventually(lambda: orphans(folder, where, None, everybody=True), what="the ended run's folder is free")
    for orphan in given_up:
        orphan.outbox.form(1000)
        orphan.outbox.finish_reading()
        assert orphan.outbox.n_torn == 0
        for track in orphan.outbox.tracks.values():
            for message in track.waiting:
                for event in orjson.loads(orphan.outbox.body_of(message))["events"]:
                    parse_event(event)
                    assert len(orjson.dumps(event)) <= MAX_EVENT_BYTES
                    found.setdefault(event["kind"], []).append(event)
        orphan.release()
    return found


def test_a_line_of_control_characters_does_not_take_the_lines_behind_it(run: argus.Run, tmp_path: Path) -> None:
    with run, run.job("j") as job:
        job.log("\x01" * 16_000)  # each is six bytes as JSON
        job.log("behind it")
    lines = [event["data"]["line"] for event in left_in_the_spool(tmp_path / "spool")["log_line"]]
    assert len(lines) == 2
    assert lines[0].endswith("\x01" * 1000)
    assert lines[1] == "behind it"


@pytest.mark.parametrize("character", ["損", "\x01", "x"])
def test_a_hundred_metrics_with_long_names_are_all_kept(run: argus.Run, tmp_path: Path, character: str) -> None:
    names = [f"{number:03d}{character * 250}" for number in range(100)]
    with run, run.job("j") as job:
        for _ in range(2):  # names are known the second time
            job.epoch(**dict.fromkeys(names, 0.5))
        job.epoch(loss=0.25)
    points = left_in_the_spool(tmp_path / "spool")["job_epoch"]
    said = [name for event in points for name in event["data"]["metrics"]]
    assert sorted(said) == sorted([*names, *names, "loss"])


def test_a_large_fact_that_json_cannot_say_at_first_is_cut_too(run: argus.Run, tmp_path: Path) -> None:
    with run:
        run.say("batch_heartbeat", None, {"odd": {1, 2}, **{f"k{number}": "x" * 4000 for number in range(40)}})
    assert set(left_in_the_spool(tmp_path / "spool")) >= {"batch_start", "batch_heartbeat", "batch_done"}


@pytest.mark.parametrize("name", [".", ".."])
def test_no_id_is_a_step_in_a_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser makes `/jobs/b/` of `/jobs/b/.`: nobody could open its page."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    run = argus.init(batch_id=name, spool_dir=tmp_path / "spool", resource_interval_s=0)
    with run, run.job(name) as first, run.job(name) as second:
        pass
    assert (run.batch_id, first.id, second.id) == ("run", f"{name}-2", f"{name}-3")
    started = left_in_the_spool(tmp_path / "spool")["job_start"]
    assert [event["data"]["name"] for event in started] == [name, name]
