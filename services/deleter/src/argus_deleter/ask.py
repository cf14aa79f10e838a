"""Questions to `query`: what the log knows of runs and their outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError
from pydantic import BaseModel, ValidationError

from argus_contracts.commands import OwnedRun
from argus_contracts.queries.common import Answer, Envelope, Viewer
from argus_contracts.queries.outputs import (
    FindOutputs,
    GetOutputs,
    ListUnmeasured,
    Outputs,
    OutputsAnswer,
    OutputsThere,
    OutputsThereAnswer,
    UnmeasuredList,
)
from argus_contracts.subjects import ask_subject
from argus_deleter.errors import Unavailable

A = TypeVar("A", bound=Answer)
EVERYTHING = Viewer(user="", all_workspaces=True)
ANSWER_S = 10.0
AT_ONCE = 16


class Query:
    """Errors everywhere: `Unavailable`, where there is no answer, or none as new as was asked for."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def outputs(self, batch_ids: Sequence[str], after: int) -> dict[str, Outputs]:
        """By run; those that do not exist are missing."""
        asked = GetOutputs(viewer=EVERYTHING, after=after, batch_ids=list(batch_ids))
        answer = await self._ask("get_outputs", asked, OutputsAnswer, after)
        if any(one.output_dir and one.ended_at is not None and one.lifecycle_position < 0 for one in answer.items):
            raise Unavailable("query still serves what an older version of it has built")
        return {one.batch_id: one for one in answer.items}

    async def sharers(self, location: str, run: OwnedRun, after: int, *, personal: bool) -> list[OutputsThere]:
        """The runs but `run` whose output or work folder overlaps `location`. personal: only those of its own user count."""
        owner = {"workspace": run.workspace, "user": run.user} if personal else {}
        asked = FindOutputs(viewer=EVERYTHING, after=after, location=location, but_for=run.batch_id, **owner)
        return (await self._ask("find_outputs", asked, OutputsThereAnswer, after)).items

    async def unmeasured(self, limit: int, behind: str | None) -> UnmeasuredList:
        question = ListUnmeasured(viewer=EVERYTHING, limit=limit, behind=behind)
        return await self._ask("list_unmeasured", question, UnmeasuredList, 0)

    async def _ask(self, name: str, question: BaseModel, answers: type[A], after: int) -> A:
        async with self._turns:
            try:
                reply = await self._client.request(
                    ask_subject(name), question.model_dump_json().encode(), timeout=ANSWER_S
                )
            except (TimeoutError, NatsError) as error:
                raise Unavailable(f"query does not answer {name}: {error or type(error).__name__}") from None
        try:
            envelope = Envelope.model_validate_json(reply.data)
            if envelope.problem is not None:
                raise Unavailable(f"query cannot answer {name}: {envelope.problem.detail}")
            answer = answers.model_validate(envelope.answer)
        except ValidationError as error:
            raise Unavailable(f"query answers {name} with something else: {error.errors()[0]['msg']}") from None
        if answer.position < after:
            raise Unavailable(f"query has read the log up to {answer.position} only, not to {after}")
        return answer
