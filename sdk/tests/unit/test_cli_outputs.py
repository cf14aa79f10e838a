"""What `argus outputs` prints, without a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from click.testing import CliRunner, Result

from argus.cli import main
from argus.cli.tables import dollar_range, dollars, plain, seconds

ADVICE = (
    "other runs have outputs or a work folder there, too: `argus outputs info s3://outputs/main/ada/"
    + "a-long-folder/" * 9
    + "` names those that you may see"
)
Answer = Callable[[httpx.Request], Any]
Ask = Callable[..., Result]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """`ask(answer, "outputs", …)`: the command, against a gateway that answers what `answer(request)` says."""
    client = httpx.Client

    def run(answer: Answer, *arguments: str, typed: str = "") -> Result:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answer(request)))
        monkeypatch.setattr(httpx, "Client", lambda **options: client(transport=transport, **options))
        monkeypatch.setenv("ARGUS_URL", "http://argus")
        monkeypatch.setenv("ARGUS_TOKEN", "ak_x_y")
        return CliRunner().invoke(main, arguments, input=typed)

    return run


def previewed(*runs: dict[str, Any], grace_s: float = 45.0) -> dict[str, Any]:
    plain_run = {
        "location": None, "skipped": None, "detail": None, "objects": 0, "bytes": 0, "versioned": False, "complete": True,
    }  # fmt: skip
    whole = [{**plain_run, **run} for run in runs]
    taken = [run for run in whole if run["skipped"] is None]
    return {
        "runs": whole, "n_runs": len(taken), "objects": sum(run["objects"] for run in taken), "complete": True,
        "bytes": sum(run["bytes"] for run in taken), "grace_s": grace_s, "storage_usd_min": 0.0001, "storage_usd_max": 0.002,
    }  # fmt: skip


def deletion(**over: Any) -> dict[str, Any]:
    return {
        "deletion_id": "d-1", "batch_id": "b-1", "run_name": "digits", "workspace": "main", "owner": "bob", "state": "requested",
        "requested_by": "wanda", "as_user": "bob", "requested_at": "2026-11-30T12:00:00Z", "due_at": "2026-11-30T12:10:00Z",
        "started_at": None, "ended_at": None, "location": "s3://outputs/main/bob/b-1/", "objects": None, "bytes": None,
        "objects_deleted": 0, "bytes_freed": 0, "n_errors": 0, "reason": None, "may_cancel": True, "manifest_sha256": None,
        "uploads_aborted": 0, "remaining_objects": None, "verified_at": None, **over,
    }  # fmt: skip


def test_a_dry_run_says_whole_why_runs_are_left_alone_and_fails_where_nothing_can_be_deleted(ask: Ask) -> None:
    left = ({"batch_id": "b-2", "skipped": "not_terminal"}, {"batch_id": "b-3", "skipped": "refused", "detail": ADVICE})
    one = {"batch_id": "b-1", "location": "s3://outputs/main/ada/b-1/", "objects": 1, "bytes": 10}
    told = ask(lambda _: previewed(one, *left), "outputs", "delete", "b-1", "b-2", "b-3", "--dry-run")
    assert told.exit_code == 0, told.output
    assert f"  b-3: {ADVICE}\n" in told.output
    assert "  b-2: it goes on still\n" in told.output
    assert "1 of 3 runs: 1 object, 10 B; saves <$0.01 a year" in told.output
    alone = ask(lambda _: previewed(one), "outputs", "delete", "b-1", "--dry-run")
    assert "1 of 1 run:" in alone.output
    assert "Left alone" not in alone.output
    nothing = ask(lambda _: previewed(*left), "outputs", "delete", "b-2", "b-3", "--dry-run", "--json")
    assert nothing.exit_code == 1
    assert orjson.loads(nothing.output)["runs"][0]["skipped"] == "not_terminal"


def test_who_is_asked_is_told_how_long_it_can_be_called_off(ask: Ask) -> None:
    one = {"batch_id": "b-1", "location": "s3://outputs/main/ada/b-1/"}
    asked = ask(lambda _: previewed(one), "outputs", "delete", "b-1", typed="no\n")
    assert "For 45 s it can be called off; then it cannot be undone. Type `delete 1 run`" in asked.output
    at_once = ask(lambda _: previewed(one, grace_s=0.0), "outputs", "delete", "b-1", typed="no\n")
    assert "This cannot be undone." in at_once.output


@pytest.mark.parametrize(
    ("skipped", "words"),
    [
        ("not_found", "not found, or not yours"), ("already_deleted", "deleted already"), ("no_output_dir", "no output folder"),
        ("not_terminal", "goes on still"), ("too_late", "too late"), ("unavailable", "nothing can be decided"),
    ],
)  # fmt: skip
def test_what_is_left_alone_is_said_in_words_and_raw_for_programs(ask: Ask, skipped: str, words: str) -> None:
    result = {"batch_id": "b-1", "deletion_id": None, "skipped": skipped, "detail": None, "due_at": None}
    answer = {"outcome": "rejected", "results": [result]}
    told = ask(lambda _: answer, "outputs", "delete", "b-1", "--yes")
    assert "left alone: " in told.output
    assert words in told.output
    assert skipped not in told.output
    assert skipped in ask(lambda _: answer, "outputs", "delete", "b-1", "--yes", "--json").output
    assert words in ask(lambda _: answer, "outputs", "measure", "b-1").output


def test_a_receipt_says_who_for_whom_and_why_and_counts_nothing_before_anything_happened(ask: Ask) -> None:
    waiting = ask(lambda _: {"deletion": deletion()}, "outputs", "status", "d-1")
    assert "by        wanda\nfor       bob\n" in waiting.output
    assert "objects" not in waiting.output
    assert "objects" not in ask(lambda _: {"deletion": deletion(state="cancelled")}, "outputs", "status", "d-1").output
    failed = deletion(state="failed", reason="checked again: not_terminal", objects=3)
    told = ask(lambda _: {"deletion": failed}, "outputs", "status", "d-1")
    assert "objects   0 of 3" in told.output
    assert "reason    checked again: it goes on still" in told.output
    raw = ask(lambda _: {"deletion": failed}, "outputs", "status", "d-1", "--json")
    assert orjson.loads(raw.output)["reason"] == "checked again: not_terminal"


def test_ones_own_deletions_are_listed_so_that_one_can_be_cancelled(ask: Ask) -> None:
    items = [
        deletion(),
        deletion(deletion_id="d-2", state="deleted", objects_deleted=1, bytes_freed=10, may_cancel=False),
        deletion(deletion_id="d-3", state="failed", reason="checked again: already_deleted", may_cancel=False),
    ]
    asked: list[str] = []

    def answer(request: httpx.Request) -> Any:
        asked.append(request.url.path)
        return {"items": items}

    told = ask(answer, "outputs", "deletions").output
    first, second, third = told.splitlines()[1:]
    assert ("d-1" in first, "waiting" in first) == (True, True)
    assert "1 object, 10 B freed" in second
    assert "checked again: its outputs are deleted already" in third
    assert orjson.loads(ask(answer, "outputs", "deletions", "--json").output) == items
    assert asked == ["/api/dashboard/deletions"] * 2
    assert ask(lambda _: {"items": []}, "outputs", "deletions").output == "no deletions\n"


def test_aborted_runs_can_be_meant_alone(ask: Ask) -> None:
    run = {"output_dir": "s3://outputs/x/", "deleted_at": None, "ended_at": "2026-01-01T00:00:00Z"}
    asked: list[Any] = []

    def answer(request: httpx.Request) -> Any:
        if request.method == "GET":
            asked.append(request.url.params["status"])
            runs = [{**run, "batch_id": f"b-{status}", "status": status} for status in ("failed", "aborted")]
            return {"items": runs, "next_cursor": None}
        asked.append(orjson.loads(request.content)["batch_ids"])
        return previewed()

    ask(answer, "outputs", "delete", "--where", "status=aborted", "--dry-run")
    assert asked == ["failed", ["b-aborted"]]
    wrong = ask(answer, "outputs", "delete", "--where", "status=running", "--dry-run")
    assert (wrong.exit_code, "status=succeeded|failed|aborted" in wrong.output) == (2, True)


def test_what_no_server_can_take_is_refused_here(ask: Ask) -> None:
    def never(_: httpx.Request) -> Any:
        raise AssertionError("nobody is asked")

    assert "names no bucket" in ask(never, "outputs", "info", "s3://").output
    options = ("--capacity", "spot", "--usd-per-hour", "1", "--from", "2026-01-01")
    for name in ("", " ", "a\nb", "x" * 257):
        assert "the name of a kind of machine" in ask(never, "prices", "set", name, *options).output


def test_durations_and_money_read_as_on_the_pages() -> None:
    spans = {
        0: "0 s",
        0.25: "250 ms",
        2.0: "2 s",
        3.14: "3.1 s",
        45.0: "45 s",
        59.7: "1 m 0 s",
        200: "3 m 20 s",
        3600: "1 h 0 m",
    }
    assert {span: seconds(span) for span in spans} == spans
    assert (seconds(None), seconds(-0.5), seconds(100 * 3600)) == ("-", "0 s", "4 d 4 h")
    assert (dollars(0), dollars(0.004), dollars(0.01), dollars(1240)) == ("$0.00", "<$0.01", "$0.01", "$1,240.00")
    assert (dollar_range(0.001, 0.002), dollar_range(0.001, 2)) == ("<$0.01", "<$0.01 to $2.00")


def test_pictures_of_several_characters_survive_and_nothing_hides_in_text() -> None:
    scientist, family, heart = "👩🏽‍🔬", "👨‍👩‍👧‍👦", "❤️‍🔥"
    assert [plain(text) for text in (scientist, family, heart)] == [scientist, family, heart]
    assert plain("a\u200db") == "a�b"
    assert plain("\u200d") == plain("\u202e") == plain("\x1b") == "�"
    assert plain("👩\u200d\u202e🔬") == "👩��🔬"
    assert plain("👩\u200d") == plain("👩\ufffd")
    assert plain(scientist + "x", 4) == "👩🏽…", "no joiner is left at a cut"
