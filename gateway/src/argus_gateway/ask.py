"""Questions to `query` over NATS. Its answers go through as bytes: query has checked them, nobody checks them twice."""

from __future__ import annotations

from typing import Any, TypeVar

import nats.errors
import orjson
from nats.aio.msg import Msg
from pydantic import BaseModel

from argus_contracts.errors import Unavailable
from argus_contracts.queries.common import ACCEPT_ENCODING, CONTENT_ENCODING, ZSTD, Envelope, Problem, Question
from argus_contracts.queries.questions import QUESTIONS, QUESTIONS_TO_DELETER
from argus_contracts.subjects import ask_subject
from argus_gateway.nats_connection import NatsConnection
from argus_gateway.problems import HttpProblem, not_found

TIMEOUT_S = 3.0
AnswerModel = TypeVar("AnswerModel", bound=BaseModel)
_NAMES = {asks: name for name, (asks, _) in {**QUESTIONS, **QUESTIONS_TO_DELETER}.items()}

_OF_DELETER = {asks for asks, _ in QUESTIONS_TO_DELETER.values()}


class Asker:
    def __init__(self, nats: NatsConnection) -> None:
        self._nats = nats

    async def ask(self, question: Question, timeout_s: float = TIMEOUT_S) -> bytes:
        """The answer as JSON. `Unavailable` where query is away or too slow; `HttpProblem` where it cannot answer this."""
        return answer_of((await self._request(question, timeout_s, None)).data)

    async def ask_packed(self, question: Question) -> tuple[bytes, bool]:
        """The same, packed (zstd) where it is long; and whether it is."""
        reply = await self._request(question, TIMEOUT_S, {ACCEPT_ENCODING: ZSTD})
        if (reply.headers or {}).get(CONTENT_ENCODING) == ZSTD:
            return reply.data, True
        return answer_of(reply.data), False

    async def _request(self, question: Question, timeout_s: float, headers: dict[str, str] | None) -> Msg:
        subject = ask_subject(_NAMES[type(question)])
        try:
            return await self._nats.client.request(
                subject, question.model_dump_json().encode(), timeout=timeout_s, headers=headers
            )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            service = "deleter" if type(question) in _OF_DELETER else "query service"
            raise Unavailable(f"the {service} does not answer ({type(error).__name__})") from None

    async def ask_for(self, question: Question, answer: type[AnswerModel], timeout_s: float = TIMEOUT_S) -> AnswerModel:
        """The answer as an object, where the gateway itself must read it."""
        return answer.model_validate_json(await self.ask(question, timeout_s))


def answer_of(reply: bytes) -> bytes:
    """The bytes of `answer` inside an `Envelope`, without decoding them where query wrote the envelope as it usually does."""
    if reply.startswith(b'{"answer":{') and reply.endswith(b',"problem":null}'):
        return reply[len(b'{"answer":') : -len(b',"problem":null}')]
    try:
        envelope = Envelope.model_validate(orjson.loads(reply))
    except ValueError:
        raise Unavailable("the query service gave an answer that nobody can read") from None
    if envelope.problem is not None:
        raise _as_http(envelope.problem)
    return orjson.dumps(_object(envelope.answer))


def _object(answer: Any) -> Any:
    if answer is None:
        raise Unavailable("the query service gave an empty answer")
    return answer


def _as_http(problem: Problem) -> Exception:
    match problem.code:
        case "not_found":
            return not_found()
        case "bad_question":
            return HttpProblem(422, problem.detail)
        case _:
            return Unavailable(problem.detail)
