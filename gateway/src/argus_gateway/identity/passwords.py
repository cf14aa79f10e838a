"""Passwords: argon2id, never on the event loop, never two different times for "no such user" and "wrong password"."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from argus_contracts.errors import Unavailable

_HASHER = PasswordHasher(time_cost=3, memory_cost=32 * 1024, parallelism=1)  # above OWASP's minimum; about 40 ms
_MAX_WAITING = 40
Result = TypeVar("Result")


class Passwords:
    """Two threads hash; who comes when 40 already wait is told to come back."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2, "argon2")
        self._waiting = 0
        self.stand_in = _HASHER.hash(secrets.token_urlsafe(16))

    async def hash(self, password: str) -> str:
        return await self._in_thread(_HASHER.hash, password)

    async def matches(self, password_hash: str | None, password: str) -> bool:
        """`password_hash` None (no such user) takes the same time and is False."""
        right = await self._in_thread(_verify, password_hash or self.stand_in, password)
        return right and password_hash is not None

    async def _in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        if self._waiting >= _MAX_WAITING:
            raise Unavailable("too many people are signing in; try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def new_password() -> str:
    """120 random bits as 20 characters that can be typed."""
    return secrets.token_urlsafe(15)
