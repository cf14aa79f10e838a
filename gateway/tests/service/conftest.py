"""Two workspaces, everybody who may want something of them, and the things that they may want."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from argus_contracts.subjects import decision_subject
from argus_local.servers import NatsServer
from argus_testkit.nats import nats_client
from argus_testkit.waiting import eventually

OBJECTS = ("own", "mate's", "foreign", "missing")


def fresh(prefix: str) -> str:
    return f"{prefix}{uuid.uuid4().hex[:10]}"


@dataclass
class World:
    """`home` has every actor in it, `abroad` only the foreigner. Everybody has a run of their own in their workspace.

    clients, csrf: by actor, as in the columns of docs/authorisation.md. names: the user behind each actor.
    """

    door: Any
    home: str
    abroad: str
    people: dict[str, Any]
    runs: dict[str, str] = field(default_factory=dict)
    clients: dict[str, httpx.Client] = field(default_factory=dict)
    csrf: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    secret: str = field(default_factory=lambda: fresh("foreign"))
    """Stands in every text of the foreigner's run."""
    cluster: str = field(default_factory=lambda: fresh("cluster-"))
    """The cluster admin's. The mate's run was on it."""

    def whose(self, actor: str, which: str) -> str | None:
        """The user whose thing it is; None: nobody's, it does not exist."""
        mate, foreigner = self.people["mate"].name, self.people["foreigner"].name
        return {"own": self.names[actor], "mate's": mate, "foreign": foreigner, "missing": None}[which]

    def run(self, actor: str, which: str) -> str:
        user = self.whose(actor, which)
        return self.runs[user] if user else fresh("missing-")

    def workspace(self, which: str) -> str:
        return {"foreign": self.abroad, "missing": fresh("missing-")}.get(which, self.home)

    def new_key(self, user: str | None, workspace: str) -> str:
        """The id of a key that stands; for nobody, the id of none."""
        key_id = uuid.uuid4().hex[:12]
        if user:
            insert = "INSERT INTO identity.api_keys (key_id, secret_sha256, user_name, workspace, name) VALUES (%s, '', %s, %s, 'x')"
            self.door.sql(insert, key_id, user, workspace)
        return key_id

    def role_at_home(self, user: str | None) -> str:
        return "admin" if user == self.names["ws admin"] else "member"

    @staticmethod
    def deletion_of(batch_id: str) -> str:
        """The id of the deletion that everybody's run has had."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, batch_id))

    def foreign_words(self) -> list[str]:
        """What nobody may ever read who is not abroad."""
        foreigner = self.people["foreigner"].name
        return [self.secret, self.abroad, foreigner, self.runs[foreigner]]

    def start_run(self, actor: str, event: Any) -> str:
        """A run of this actor's, with a job, a point, a line and a host."""
        person, batch = self.people[actor], fresh("z-")
        word = self.secret if actor == "foreigner" else actor
        data = {"name": word, "project": word, "labels": [word], "params": {word: word}}
        data |= {"cluster": self.cluster} if actor == "mate" else {}
        posted = [
            event("batch_start", batch, data=data),
            event("job_start", batch, job_id="j", data={"name": word, "host": word}),
            event("job_epoch", batch, job_id="j", data={"epoch": 1, "metrics": {word: 1.0}}),
            event("log_line", batch, job_id="j", data={"line": word}),
            event("job_failed", batch, job_id="j", data={"reason": word, "traceback": word}),
            event("batch_failed", batch, data={"reason": word}),
        ]
        answer = person.post("/api/events/batch", json=posted)
        assert answer.json()["rejected"] == 0, answer.text
        self.runs[person.name] = batch
        return batch


async def say_deletions(server: NatsServer, requests: Iterable[dict[str, Any]]) -> None:
    """As the deleter states that they were requested."""
    async with nats_client(server, "deleter") as client:
        for said in requests:
            document = {"v": 2, "class": "lifecycle", "events": [said]}
            subject = decision_subject("deleter", said["batch_id"])
            await client.jetstream().publish(subject, json.dumps(document).encode())


@pytest.fixture(scope="session")
def built_ui(door):
    """Index, an asset and a file at the top, as Vite makes them; and a secret beside the folder."""
    ui = Path(door.gateway.whole_env["ARGUS_UI_DIR"])
    (ui / "assets").mkdir(parents=True, exist_ok=True)
    (ui / "index.html").write_text("<!doctype html><title>the page</title>")
    (ui / "assets" / "index-4f3a9c.js").write_text("console.log('" + "x" * 3000 + "')")
    (ui / "favicon.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (ui.parent / "secret.txt").write_text("SECRET")
    (ui / "link.txt").symlink_to(ui.parent / "secret.txt")
    return ui


@pytest.fixture(scope="package")
def world(door, event) -> World:
    home, abroad = door.new_workspace(), door.new_workspace()
    people = {name: door.new_person(home) for name in ("member", "mate", "former", "disabled", "cluster admin")}
    people["ws admin"] = door.new_person(home, role="admin")
    people["admin"] = door.new_person(home, global_admin=True)
    people["foreigner"] = door.new_person(abroad)
    world = World(door, home, abroad, people)
    for name in people:
        world.start_run(name, event)

    cluster = world.cluster
    door.sql("INSERT INTO identity.clusters (name) VALUES (%s)", cluster)
    door.sql(
        "INSERT INTO identity.cluster_admins (cluster, user_name) VALUES (%s, %s)",
        cluster,
        people["cluster admin"].name,
    )
    member = people["member"]
    gone = door.key_of(member)
    assert member.delete(f"/api/keys/{gone.split('_')[1]}").status_code == 204
    tokens = {
        "nobody": None, "revoked key": gone, "key": door.key_of(member), "full key": door.key_of(member, full_rights=True),
        "admin key": door.key_of(people["admin"], full_rights=True),
    }  # fmt: skip
    root = door.client(door.admin["token"])
    for person in people.values():
        job = f"/api/batches/{world.runs[person.name]}/jobs/j"
        eventually(lambda person=person, job=job: person.get(job).status_code == 200, within=60)
    requests = [
        event(
            "outputs_deletion_requested",
            batch,
            data={"deletion_id": world.deletion_of(batch), "requested_by": user, "location": f"s3://outputs/{batch}/"},
        )
        for user, batch in world.runs.items()
    ]
    asyncio.run(say_deletions(door.nats, requests))
    for person in people.values():
        receipt = f"/api/outputs/deletions/{world.deletion_of(world.runs[person.name])}"
        eventually(lambda person=person, receipt=receipt: person.get(receipt).status_code == 200, within=60)
    root.patch(f"/api/users/{people['disabled'].name}", json={"disabled": True}).raise_for_status()
    root.delete(f"/api/workspaces/{home}/members/{people['former'].name}").raise_for_status()

    world.clients = {name: person.client for name, person in people.items()}
    world.clients |= {name: door.client(token) for name, token in tokens.items()}
    world.csrf = {name: person.csrf for name, person in people.items()}
    world.names = {name: person.name for name, person in people.items()}
    world.names |= {name: people["admin" if name == "admin key" else "member"].name for name in tokens}
    return world
