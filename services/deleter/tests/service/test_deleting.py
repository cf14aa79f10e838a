"""A real deleter on a real S3: exactly the manifest goes, and nothing else."""

from __future__ import annotations

from typing import Any

OF_A_DELETION = ["requested", "planned", "started", "finished"]


async def test_exactly_what_is_below_the_folder_goes(rig: Any) -> None:
    """L1: names that look alike, as folders and as objects."""
    run = rig.query.add("run-1", "s3://outputs/lab/run-1")
    mine = {f"lab/run-1/{name}" for name in ("a", "b/c", "b/d e+%20", "ü", "run-1/x", "x.run-1")}
    others = {
        "lab/run-10/a", "lab/run-1.bak/a", "lab/Run-1/a", "lab/run-１/a", "lab/run-1-x/a", "lab/run-1%2F/a", "run-1/a",
        "lab/run-1.txt", "lab/x/run-1/a", "lab/run-/a",
    }  # fmt: skip
    rig.put(*mine, *others)
    rest = rig.canary(without="lab/run-1/")
    rig.start()
    preview = await rig.preview(run)
    assert (preview.objects, preview.bytes, preview.complete) == (6, 60, True)
    decision = await rig.delete(run)
    assert decision.outcome == "accepted"
    end = await rig.end_of(decision.results[0].deletion_id, "run-1")
    assert end["outcome"] == "deleted", str(end)
    assert (end["objects"], end["objects_deleted"], end["bytes_freed"], end["remaining_objects"]) == (6, 6, 60, 0)
    assert rig.keys("lab/run-1/") == set()
    assert rig.canary() == rest
    assert rig.keys() == others
    assert await rig.kinds("run-1") == OF_A_DELETION
