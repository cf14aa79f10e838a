"""Why something was not done, as this service tells it apart."""

from __future__ import annotations


class DeleterError(Exception):
    """Base of all of these."""


class Unavailable(DeleterError):
    """A neighbour (query, the object store, the database) does not answer as it should: it may be tried again."""


class StoreAway(Unavailable):
    """The object store does not answer, or asks for fewer calls, for longer than we try on the spot."""


class NotStored(DeleterError):
    """What the database refuses to keep as it is: another try would be refused, too."""


class StoreRefuses(DeleterError):
    """The object store has refused a whole call: another try would be refused, too."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation}: {code}: {message}"[:1000])
        self.operation, self.code = operation, code


class StoreMisbehaves(DeleterError):
    """An answer of the object store that cannot be: nothing may be deleted by it."""


class NotNow(DeleterError):
    """The deletion must wait, and everything is as it was. `seconds`: when to look again."""

    def __init__(self, why: str, seconds: float) -> None:
        super().__init__(why)
        self.seconds = seconds


class Overtaken(DeleterError):
    """Somebody else has decided about this run's outputs meanwhile: read again what is true now."""


class Stopping(DeleterError):
    """The process ends. What was begun goes on where it stands, in the next one."""
