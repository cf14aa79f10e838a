"""A bounded memory of what the tables hold, so that a fold need not read again what it wrote a moment ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The `size` values used last. `trim` is called between folds, so nothing in use falls out."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)

    def missing(self, keys: Iterable[K]) -> list[K]:
        return [key for key in keys if key not in self._values]

    def trim(self) -> None:
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        self._values.pop(key, None)

    def drop_where(self, condition: Callable[[K], bool]) -> None:
        for key in [key for key in self._values if condition(key)]:
            del self._values[key]

    def clear(self) -> None:
        self._values.clear()
