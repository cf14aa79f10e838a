"""Two families decide the fate of what arrives: `Refused` (never retry) and `Unavailable` (retry later)."""

from __future__ import annotations


class ArgusError(Exception):
    """Base of every error that Argus itself raises."""


class Refused(ArgusError):
    """The content can never be accepted. `code` is stable, `reason` is one sentence for a person."""

    code = "refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Malformed(Refused):
    """Not JSON, or not of the contract's shape."""

    code = "malformed"


class UnknownKind(Refused):
    """A kind that this version does not know."""

    code = "unknown_kind"


class NewerVersion(Refused):
    """A message or event of a version that this build cannot read yet."""

    code = "newer_version"


class TooLarge(Refused):
    """An event or message over its size limit."""

    code = "too_large"


class NotTheOwner(Refused):
    """An event for a run that belongs to somebody else."""

    code = "not_the_owner"


class UnknownBatch(Refused):
    """A decision about a run that nobody has ever said anything of."""

    code = "unknown_batch"


class TooManyGaps(Refused):
    """One more gap in the numbers of a sender that has left more than any honest one leaves."""

    code = "too_many_gaps"


class WrongSubject(Refused):
    """The subject is not of the form `argus.events.<workspace>.<user>.<partition or any>`, or of another batch's partition."""

    code = "wrong_subject"


class WrongSchemaVersion(Refused):
    """A posted event says a `schema_version` other than 1.1. HTTP answers 415."""

    code = "wrong_schema_version"


class Unavailable(ArgusError):
    """Something that we need is away for now. The same call may succeed later."""


class NotYoursToSay(Refused):
    """A kind that states a decision of Argus itself, said by a user."""

    code = "not_yours_to_say"
