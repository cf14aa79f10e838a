"""Where runs have their files, on a real Postgres: for the rights of who would delete them, by address, and who waits to be listed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from argus_contracts.locations import Location, StrangeLocation, claimed, root
from argus_contracts.queries.common import Viewer
from argus_contracts.queries.outputs import FindOutputs, GetOutputs, ListUnmeasured
from argus_query.dashboard.rates import DEFAULT_RATES
from argus_query.models import models_named
from argus_query.outputs.reads import find_outputs, get_outputs, list_unmeasured
from argus_query.paging import BadCursor
from argus_query.rebuild import differences
from argus_query.visibility import BadQuestion
from argus_testkit import Database

Event = Callable[..., dict[str, Any]]
ADA = Viewer(user="ada", workspaces=["lab"])
DELETER = Viewer(user="", all_workspaces=True)


@pytest.fixture
async def live(database: Database, log: Any, open_live: Any) -> AsyncIterator[Any]:
    async with open_live(database) as tables:
        yield tables


async def ask(live: Any, read: Any, question: Any) -> Any:
    async with live.writer.transaction():
        await live.writer.execute("SET LOCAL search_path = read")
        more = [DEFAULT_RATES] if read is get_outputs else []
        return (await read(live.writer, question, 0, *more)).items


async def there(live: Any, location: str, viewer: Viewer = DELETER) -> list[tuple[str, str, bool]]:
    found = await ask(live, find_outputs, FindOutputs(viewer=viewer, location=location))
    return [(one.batch_id, one.folder, one.is_work_dir) for one in found]


async def unmeasured(live: Any, viewer: Viewer = DELETER, **fields: Any) -> list[Any]:
    return await ask(live, list_unmeasured, ListUnmeasured(viewer=viewer, **fields))


async def test_what_is_known_of_outputs_is_for_who_sees_the_workspace(live: Any, log: Any, event: Event) -> None:
    log.append(
        [event("batch_start", "b1", name="one", cluster="alps", output_dir="s3://b/x"), event("batch_done", "b1", at=5)]
    )
    log.append([event("outputs_measured", "b1", at=6, bytes=7, objects=1)])
    log.append([event("outputs_deletion_requested", "b1", at=8, deletion_id="d1")])
    log.append([event("batch_start", "b2", output_dir="/home")], workspace="office")
    await live.project()
    ids = ["b2", "b1", "nobodys", "b1", "\0"]
    mine = await ask(live, get_outputs, GetOutputs(viewer=ADA, batch_ids=ids))
    assert [one.batch_id for one in mine] == ["b1"]
    one = mine[0]
    assert (one.name, one.user, one.cluster, one.status, one.output_dir) == (
        "one",
        "ada",
        "alps",
        "succeeded",
        "s3://b/x",
    )
    assert (one.bytes, one.objects, one.deletion_id, one.deleted_at) == (7, 1, "d1", None)
    everything = await ask(live, get_outputs, GetOutputs(viewer=DELETER, batch_ids=ids))
    assert [(one.batch_id, one.status) for one in everything] == [("b2", "running"), ("b1", "succeeded")]
    log.append([event("outputs_deletion_finished", "b1", at=9, deletion_id="d1")])
    await live.project()
    (one,) = await ask(live, get_outputs, GetOutputs(viewer=ADA, batch_ids=["b1"]))
    assert (one.bytes, one.deletion_id, one.deleted_at is not None) == (0, None, True)


def may_be_asked_for(where: Location) -> bool:
    try:
        return root(str(where)) == where
    except StrangeLocation:
        return False


@pytest.mark.parametrize("seed", range(3))
async def test_folders_that_overlap_are_found_and_no_others(live: Any, log: Any, event: Event, seed: int) -> None:
    random = Random(seed)
    parts = ["a", "a0", "a.", "A", "ä", "a-b", "%", "_", "b"]
    odd = ["/home/x", "s3://bk/a/../y", "s3://bk/", "s3://bk//z", "\0", f"s3://{'b' * 900}/x"]

    def address() -> str:
        text = f"s3://{random.choice(['bk', 'bk2'])}/" + "/".join(random.choices(parts, k=random.randrange(1, 4)))
        return random.choice([text, f"{text}/", random.choice(odd)])

    folders: list[tuple[str, Location, bool, str]] = []
    for n in range(70):
        batch, output, work, workspace = f"b{n:02}", address(), address(), random.choice(["lab", "office"])
        log.append([event("batch_start", batch, at=n, output_dir=output, work_dir=work)], workspace=workspace)
        log.append([event("batch_done", batch, at=n + 0.5)], workspace=workspace)
        deleted = random.random() < 0.2
        if deleted:
            log.append([event("outputs_deletion_finished", batch, at=n + 1, deletion_id=batch)], workspace=workspace)
        for text, is_work in ((output, False), (work, True)):
            where = claimed(text)
            if where is not None and (is_work or not deleted):
                folders.append((batch, where, is_work, workspace))
    await live.project()
    assert len(folders) > 30
    asked_for = {str(one) for _, one, _, _ in folders if may_be_asked_for(one)}
    for location in [*sorted(asked_for), "s3://bk/", "s3://bk/a/", "s3://none/", "s3://bk2/a0/b"]:
        for viewer, seen in ((ADA, {"lab"}), (DELETER, {"lab", "office"})):
            bucket, _, rest = location.removeprefix("s3://").partition("/")
            asked = Location(bucket, f"{rest.rstrip('/')}/" if rest else "")
            expected = [
                (str(one), batch, is_work)
                for batch, one, is_work, workspace in folders
                if workspace in seen and one.overlaps(asked)
            ]
            assert await there(live, location, viewer) == [(b, text, w) for text, b, w in sorted(expected)[:100]]
    for strange in ("/home", "s3://bk/../x", "", "s3://bk/a\0"):
        with pytest.raises(BadQuestion):
            await there(live, strange)


@pytest.mark.parametrize(
    "strange", ["s3://bk", "s3://bk/", "s3://bk/lab/run-1//x", "s3://bk/lab/run-1/ x", "s3://bk/lab/run-1/../y", "s3://bk/lab/run-1/\u202e"]
)  # fmt: skip
async def test_folders_too_strange_to_be_deleted_are_found_all_the_same(
    live: Any, log: Any, event: Event, strange: str
) -> None:
    """Whoever named them may have something there."""
    log.append([event("batch_start", "other", output_dir=strange)])
    await live.project()
    assert [batch for batch, _, _ in await there(live, "s3://bk/lab/run-1/")] == ["other"]


async def test_who_waits_to_be_listed_waits_since_the_last_end(
    database: Database, live: Any, log: Any, event: Event
) -> None:
    def end(batch: str, at: float, **start: Any) -> None:
        log.append([event("batch_start", batch, at=at - 1, **start), event("batch_failed", batch, at=at)])

    log.append([event("outputs_measured", "b0", at=60, bytes=1, objects=1)])  # somebody has asked for it while it ran
    for n in range(5):
        end(f"b{n}", at=50 + n // 2, output_dir="s3://b/x")
    end("local", at=1, output_dir="/home")
    end("none", at=1)
    log.append([event("batch_start", "going", output_dir="s3://b/y")])
    log.append([event("outputs_measured", "b1", at=49, bytes=1, objects=1)])  # the run's clock is ahead
    log.append([event("outputs_deletion_finished", "b4", at=53, deletion_id="d")])
    await live.project()
    waiting = await unmeasured(live)
    assert [(one.batch_id, one.output_dir) for one in waiting] == [(b, "s3://b/x") for b in ("b0", "b2", "b3")]
    one_by_one: list[str] = []
    page = await unmeasured(live, limit=1)
    while page:
        one_by_one.append(page[0].batch_id)
        page = await unmeasured(live, limit=1, behind=page[0].cursor)
    assert one_by_one == ["b0", "b2", "b3"]
    assert [one.batch_id for one in await unmeasured(live, ADA)] == ["b0", "b2", "b3"]
    assert await unmeasured(live, Viewer(user="ada", workspaces=["office"])) == []
    with pytest.raises(BadCursor):
        await unmeasured(live, behind="nonsense")
    end("b1", at=90)
    log.append([event("outputs_measured", "b2", at=99, bytes=1, objects=1)])
    await live.project()
    assert [one.batch_id for one in await unmeasured(live)] == ["b0", "b3", "b1"]
    assert await differences(database.query_url, models_named("runs")) == []


async def test_a_run_that_was_resumed_meanwhile_keeps_its_folder(
    database: Database, live: Any, log: Any, event: Event
) -> None:
    """Its start came while a deletion was on its way, and says a time before it: it lay in a spool, or its clock is behind. Nobody else
    may delete what it writes."""
    log.append([event("batch_start", "b1", output_dir="s3://b/x/y"), event("batch_done", "b1", at=5)])
    said = {"deletion_id": "d1", "requested_by": "ada"}
    log.append([event("outputs_measured", "b1", at=8, bytes=3, objects=1)])
    log.append([event("outputs_deletion_requested", "b1", at=10, **said)])
    log.append([event("batch_start", "b1", at=7, attempt=2)])
    log.append([event("outputs_deletion_finished", "b1", at=20, **said)])

    async def state() -> tuple[Any, ...]:
        await live.project()
        (one,) = await ask(live, get_outputs, GetOutputs(viewer=ADA, batch_ids=["b1"]))
        return (
            one.status,
            one.bytes,
            one.deleted_at is not None,
            [batch for batch, _, _ in await there(live, "s3://b/x")],
        )

    assert await state() == ("running", None, False, ["b1"])
    log.append([event("batch_done", "b1", at=9, attempt=2)])
    assert await state() == ("succeeded", None, False, ["b1"])
    assert [one.batch_id for one in await unmeasured(live)] == ["b1"]
    log.append([event("outputs_measured", "b1", at=30, bytes=0, objects=0)])
    assert await state() == ("succeeded", 0, True, []), "a listing has found nothing"
    assert await unmeasured(live) == []
    log.append([event("outputs_measured", "b1", at=40, bytes=9, objects=1)])
    assert await state() == ("succeeded", 9, False, ["b1"])
    log.append([event("outputs_measured", "b1", at=41, bytes=0, objects=1)])
    assert await state() == ("succeeded", 0, False, ["b1"]), "an object without content is one"
    assert await differences(database.query_url, models_named("runs")) == []


async def test_whether_a_run_is_active_is_told_by_its_newest_start_or_end(live: Any, log: Any, event: Event) -> None:
    """Also where a good end has made its status final: under the same number it may begin again, and write."""

    async def known() -> tuple[str, int, bool]:
        await live.project()
        (one,) = await ask(live, get_outputs, GetOutputs(viewer=ADA, batch_ids=["b1"]))
        return one.status, one.lifecycle_position, one.is_active

    log.append([event("batch_start", "b1", output_dir="s3://b/x"), event("batch_done", "b1", at=5)])
    status, first, is_active = await known()
    assert (status, is_active) == ("succeeded", False)
    log.append([event("job_epoch", "b1", job_id="j", at=6, epoch=1, metrics={"loss": 1.0})])
    assert await known() == ("succeeded", first, False)
    log.append([event("batch_start", "b1", at=3)])
    assert await known() == ("succeeded", first + 2, True)
    log.append([event("batch_done", "b1", at=4)])
    assert await known() == ("succeeded", first + 3, False)
    log.append([event("job_start", "b1", job_id="late", at=1)])
    assert await known() == ("succeeded", first + 4, True)
    log.append([event("job_failed", "b1", job_id="late", at=2)])
    assert await known() == ("succeeded", first + 5, False)


async def test_what_a_partial_deletion_has_left_is_its_size(live: Any, log: Any, event: Event) -> None:
    log.append([event("batch_start", "b1", output_dir="s3://b/x"), event("batch_done", "b1", at=5)])
    log.append([event("outputs_measured", "b1", at=8, bytes=300, objects=30, lifecycle_position=2)])
    said = {"deletion_id": "d1", "requested_by": "ada", "lifecycle_position": 2}
    log.append([event("outputs_deletion_requested", "b1", at=10, **said)])
    left = {
        "outcome": "partial",
        "objects_deleted": 29,
        "bytes_freed": 293,
        "remaining_objects": 1,
        "remaining_bytes": 7,
    }
    log.append([event("outputs_deletion_failed", "b1", at=20, **said, **left)])
    await live.project()
    (one,) = await ask(live, get_outputs, GetOutputs(viewer=ADA, batch_ids=["b1"]))
    assert (one.bytes, one.objects, one.deleted_at) == (7, 1, None)
    assert await unmeasured(live) == []


async def test_folders_that_a_run_names_no_more_are_its_own_still(
    database: Database, live: Any, log: Any, event: Event
) -> None:
    """What its first attempt has written is there, though it writes elsewhere since."""
    log.append([event("batch_start", "moved", output_dir="s3://b/p/old", work_dir="s3://b/p/work")])
    log.append([event("batch_failed", "moved", at=5)])
    log.append([event("batch_start", "moved", at=6, attempt=2, output_dir="s3://b/q/new")])
    log.append([event("batch_start", "parent", output_dir="s3://b/p/")])
    await live.project()
    assert await there(live, "s3://b/p") == [
        ("parent", "s3://b/p/", False), ("moved", "s3://b/p/old/", False), ("moved", "s3://b/p/work/", True),
    ]  # fmt: skip
    assert [one for one, _, _ in await there(live, "s3://b/p/old/x")] == ["parent", "moved"]
    question = FindOutputs(viewer=DELETER, location="s3://b/p", but_for="moved", workspace="lab", user="ada")
    assert [one.batch_id for one in await ask(live, find_outputs, question)] == ["parent"]
    log.append([event("batch_start", "moved", at=7, attempt=3, output_dir="s3://b/p/old")])
    await live.project()
    assert [one for one, _, _ in await there(live, "s3://b/q/")] == ["moved"]
    assert [one for one, _, _ in await there(live, "s3://b/p/old/")] == ["parent", "moved"]
    assert await differences(database.query_url, models_named("runs")) == []
    log.append([event("run_purged", "moved", at=9, manifest_sha256="0" * 64)], user="argus")
    await live.project()
    assert await there(live, "s3://b/q/") == []
    assert await differences(database.query_url, models_named("runs")) == []
