"""The ways to Argus: NATS and plain HTTPS, chosen by the URL's scheme."""

from __future__ import annotations

from argus.forks import no_fork_meanwhile
from argus.settings import Settings
from argus.transport.base import Transport

__all__ = ["Transport", "open_transport"]


def open_transport(settings: Settings) -> Transport:
    """The way that the URL's scheme names. Nothing is connected yet."""
    with no_fork_meanwhile():
        import encodings.idna  # noqa: F401  # pyright: ignore[reportUnusedImport]  the first look-up of a name would import it

        if settings.is_http:
            from argus.transport.http import HttpTransport as Chosen
        else:
            from argus.transport.nats import NatsTransport as Chosen
    return Chosen(settings)
