"""Where a run's outputs are: a bucket and a prefix of keys that is nobody else's. Pure.

A run says its `output_dir` itself, so it may say anything. Deleting believes it only within the roots that the operator has
set, and only where it means one folder below one of them, letter by letter: nothing is decoded, resolved or trimmed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

MAX_KEY_BYTES = 1024
"""Of an object's key in S3, as UTF-8."""
MAX_BUCKET_BYTES = 255
"""The oldest buckets have such names; younger ones have 63 at most."""
MAX_ADDRESS = 1024
"""Characters of an address, as facts may name it (`quantities.Short`)."""
_SCHEME = "s3://"
_SCHEMES = re.compile(r"\s*s3[an]?://", re.IGNORECASE)


class StrangeLocation(ValueError):
    """The text is no place whose objects may be listed or deleted. The message says why, for a person."""


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """All objects whose keys begin with `prefix`, which ends with `/`: `run-1/` has nothing of `run-10/`."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.prefix}"

    def holds(self, other: Location) -> bool:
        """Whether every object of `other` is one of these, too."""
        return self.bucket == other.bucket and other.prefix.startswith(self.prefix)

    def overlaps(self, other: Location) -> bool:
        """Whether an object may be of both."""
        return self.holds(other) or other.holds(self)


def root(text: str) -> Location:
    """The root that an operator has set, `s3://bucket/` or `s3://bucket/folder/` (the last `/` may be left out).

    Errors: `StrangeLocation`.
    """
    return _parsed(text, may_be_a_bucket=True)


def output_location(text: str, roots: Iterable[Location]) -> Location:
    """The folder that `text`, an `output_dir`, names below one of `roots`.

    Errors: `StrangeLocation` where it is empty, no `s3://`, outside of all roots, a root itself or above one, or where it has a part
    that somebody could read as another (`.`, `..`, empty, with a backslash, spaces at its ends or characters that do not show).
    """
    found = _parsed(text, may_be_a_bucket=False)
    if len(str(found)) > MAX_ADDRESS:
        raise StrangeLocation(f"an address has at most {MAX_ADDRESS} characters, and {text[:80]!r}… more")
    known = list(roots)
    if any(found.holds(one) for one in known):
        raise StrangeLocation(f"{text!r} is a root, or has one in it: it is nobody's own folder")
    if not any(one.holds(found) for one in known):
        raise StrangeLocation(f"{text!r} lies outside of the roots that this Argus may touch")
    return found


def claimed(text: str) -> Location | None:
    """What a run that names `text` may write to, letter by letter, also where it is a whole bucket or too strange to be deleted: to
    find out who else may have something there, never to delete. Other names of the same scheme (`S3://`, Hadoop's `s3a://`) count,
    too. None: no address of this kind, or none that an object's can begin with.
    """
    scheme = _SCHEMES.match(text)
    if scheme is None or "\0" in text:
        return None
    bucket, _, prefix = text[scheme.end() :].partition("/")
    if not bucket:
        return None
    if prefix and not prefix.endswith("/"):
        prefix += "/"
    n_bytes = [len(part.encode(errors="surrogatepass")) for part in (bucket, prefix)]
    return Location(bucket, prefix) if n_bytes[0] <= MAX_BUCKET_BYTES and n_bytes[1] <= MAX_KEY_BYTES else None


def _parsed(text: str, *, may_be_a_bucket: bool) -> Location:
    if not text.startswith(_SCHEME):
        raise StrangeLocation(f"{text!r} is no address of the form {_SCHEME}bucket/folder/")
    bucket, _, rest = text.removeprefix(_SCHEME).partition("/")
    _check_part(text, bucket)
    if len(bucket.encode()) > MAX_BUCKET_BYTES:
        raise StrangeLocation(f"no bucket has a name of more than {MAX_BUCKET_BYTES} bytes, as {text[:80]!r}… says")
    if rest == "/":
        raise StrangeLocation(f"{text!r} has an empty part")
    rest = rest.removesuffix("/")
    if not rest:
        if may_be_a_bucket:
            return Location(bucket, "")
        raise StrangeLocation(f"{text!r} is a whole bucket")
    for part in rest.split("/"):
        _check_part(text, part)
    prefix = rest + "/"
    if len(prefix.encode()) > MAX_KEY_BYTES:
        raise StrangeLocation(f"a key has at most {MAX_KEY_BYTES} bytes, and {text[:80]!r}… more")
    return Location(bucket, prefix)


def _check_part(text: str, part: str) -> None:
    if part in ("", ".", ".."):
        raise StrangeLocation(f"{text!r} has an empty part, or `.` or `..`")
    if part != part.strip() or "\\" in part:
        raise StrangeLocation(f"{text!r} has a part with a backslash, or with spaces at its ends")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for char in part):
        raise StrangeLocation(f"{text!r} has characters that do not show")
