"""Commands into JetStream, and what the services that own them have decided."""

from __future__ import annotations

import contextlib
import uuid

import nats.errors
import nats.js.errors
from pydantic import ValidationError

from argus_contracts.commands import Command, Decision
from argus_contracts.errors import Unavailable
from argus_contracts.subjects import COMMANDS_STREAM, command_subject, decided_subject
from argus_gateway.nats_connection import NatsConnection

ACK_TIMEOUT_S = 5.0
DECIDED_WITHIN_S = 2.0
_NAMESPACE = uuid.UUID("7c1e8d0e-58a4-4a0b-9b52-6f7a4c3d2e11")


def command_id(user: str, said: uuid.UUID | None) -> uuid.UUID:
    """A client's own id makes its repeat harmless; nobody can name a command of somebody else."""
    return uuid.uuid4() if said is None else uuid.uuid5(_NAMESPACE, f"{user}\n{said}")


class Commander:
    def __init__(self, connection: NatsConnection) -> None:
        self._nats = connection

    async def command(self, service: str, verb: str, command: Command) -> Decision:
        """The command is durable, and this is what `service` has decided; or `queued`, where it has not within 2 s.

        `Unavailable` where it is not known to be durable: the same command again, under the same id, does no harm.
        """
        client = self._nats.client
        decided = await client.subscribe(decided_subject(str(command.command_id)))
        try:
            await self._publish(service, command_subject(service, verb), command)
            answer = await decided.next_msg(timeout=DECIDED_WITHIN_S)
            return Decision.model_validate_json(answer.data)
        except nats.errors.TimeoutError:
            return Decision(command_id=command.command_id, outcome="queued")
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"NATS is away for a moment ({type(error).__name__})") from None
        except ValidationError:
            raise Unavailable(f"the {service} gave an answer that nobody can read") from None
        finally:
            with contextlib.suppress(nats.errors.Error, OSError):  # a connection that is gone hears nothing anyway
                await decided.unsubscribe()

    async def _publish(self, service: str, subject: str, command: Command) -> None:
        try:
            stream = self._nats.client.jetstream(timeout=ACK_TIMEOUT_S)
            await stream.publish(subject, command.model_dump_json().encode(), stream=COMMANDS_STREAM)
        except nats.js.errors.NoStreamResponseError:
            raise Unavailable(f"nobody takes commands for the {service}: it has never been started") from None
        except nats.js.errors.APIError as error:
            raise Unavailable(f"JetStream refuses: {error.description or error.code}") from None
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"JetStream does not acknowledge ({type(error).__name__})") from None
