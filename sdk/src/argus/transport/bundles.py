"""Small messages that travel together."""

from __future__ import annotations

from collections.abc import Iterator

BETWEEN_DOCUMENTS = b"\n"
MAX_DOCUMENTS = 256
"""Both as in `argus_contracts`, whose import takes as long as that of everything else that HTTPS needs."""
BUNDLE_BYTES = 240 * 1024
"""Of a bundle, at most; the wire takes 256 KiB. The broker writes each to its disk before it answers, which takes as long for a
small one."""


def bundles(messages: list[tuple[str, bytes]], most_bytes: int = BUNDLE_BYTES) -> Iterator[list[tuple[str, bytes]]]:
    """`messages` (batch_id, body) in the same order, as few bundles as their bounds allow."""
    bundle: list[tuple[str, bytes]] = []
    size = 0
    for message in messages:
        if bundle and (size + len(message[1]) > most_bytes or len(bundle) >= MAX_DOCUMENTS):
            yield bundle
            bundle, size = [], 0
        bundle.append(message)
        size += len(message[1]) + 1
    if bundle:
        yield bundle


def joined(bundle: list[tuple[str, bytes]]) -> bytes:
    """One message, or one body, of all of them."""
    return BETWEEN_DOCUMENTS.join([body for _, body in bundle])
