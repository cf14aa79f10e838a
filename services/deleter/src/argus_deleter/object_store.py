"""The object store: list, delete, abort. Every call is bounded, paced, tried again where that helps, and counted."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, ParamValidationError
from botocore.exceptions import ConnectionError as StoreConnectionError
from botocore.handlers import BUILTIN_HANDLERS
from botocore.parsers import ResponseParserError

from argus_contracts.locations import Location
from argus_deleter.errors import Stopping, StoreAway, StoreMisbehaves, StoreRefuses
from argus_deleter.pace import Pace
from argus_deleter.pages import After, Entry, Page, decoded, read_page
from argus_deleter.store_errors import PASSING, TOO_FAST, UNKNOWN_TO_IT, code_of, message_of

T = TypeVar("T")
KEYS_PER_CALL = 1_000
"""DeleteObjects takes no more."""
TRIES, FIRST_PAUSE_S = 8, 0.2
"""Of one call. Each pause between them is twice the one before."""


class Refusal(NamedTuple):
    """What the store said of one entry that it was to delete."""

    entry: Entry
    code: str
    message: str

    @property
    def passes(self) -> bool:
        """Another try may succeed."""
        return self.code in PASSING


class Upload(NamedTuple):
    """An unfinished multipart upload."""

    key: str
    upload_id: str
    initiated_at: Any


class ObjectStore:
    """Shared by all threads. pace: how many of them may call at once."""

    def __init__(
        self,
        endpoint_url: str | None,
        pace: Pace,
        *,
        bucket_owner: str | None = None,
        connections: int = 16,
        conditional: bool = False,
    ) -> None:
        # Old servers know no checksums but Content-MD5, which botocore sends where one is required and none is chosen.
        config = Config(
            max_pool_connections=connections,
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            tcp_keepalive=True,
            s3={"addressing_style": "path" if endpoint_url else "auto"},
        )
        self._client = boto3.Session().client("s3", endpoint_url=endpoint_url, config=config)
        _read_pages_ourselves(self._client.meta.events)
        self._pace = pace
        self._owner = {"ExpectedBucketOwner": bucket_owner} if bucket_owner else {}
        self._conditional = conditional
        self.calls: Counter[str] = Counter()
        """Calls made, by operation, tries included."""
        self.seconds: dict[str, float] = {}
        """Spent in them, by operation."""
        self._count = threading.Lock()
        self.stopping = threading.Event()
        """Once set, nothing is tried again and no further call begins."""

    def reach(self, bucket: str) -> None:
        """Somebody answers for this bucket, and would let us list it. Errors: as `page`, at once."""
        self._tried("head_bucket", lambda: self._client.head_bucket(Bucket=bucket, **self._owner), 1)

    def keeps_versions(self, bucket: str) -> bool:
        """Whether there may be several versions of a key. Errors: `StoreAway`, `StoreRefuses`."""
        try:
            answer = self._tried(
                "get_bucket_versioning", lambda: self._client.get_bucket_versioning(Bucket=bucket, **self._owner)
            )
            return bool(answer.get("Status"))
        except StoreRefuses as error:
            if error.code in UNKNOWN_TO_IT:
                return False
            if error.code not in {"AccessDenied", "403"}:
                raise
        try:  # who may not read the setting can see it in what is listed
            self._tried(
                "list_object_versions",
                lambda: self._client.list_object_versions(Bucket=bucket, MaxKeys=1, **self._owner),
            )
            return True
        except StoreRefuses as error:
            if error.code in UNKNOWN_TO_IT:
                return False
            raise

    def page(
        self, bucket: str, prefix: str, *, versions: bool, folders: bool, after: After | None = None, token: str = ""
    ) -> Page:
        """Up to 1,000 entries whose keys begin with `prefix`. folders: only those with no further `/` in them, and the others'
        folders. after: only those behind it. token: continues a page (with the same `after`).

        Errors: `StoreAway`; `StoreRefuses`; `StoreMisbehaves` where it lists something else.
        """
        asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "EncodingType": "url", **self._owner}
        if folders:
            asked["Delimiter"] = "/"
        if versions:
            if after is not None:
                asked["KeyMarker"] = after.key
                if after.version_id:
                    asked["VersionIdMarker"] = after.version_id
            answer = self._tried("list_object_versions", lambda: self._client.list_object_versions(**asked))
        else:
            if token:
                asked["ContinuationToken"] = token
            elif after is not None:
                asked["StartAfter"] = after.key
            answer = self._tried("list_objects_v2", lambda: self._client.list_objects_v2(**asked))
        page: Page = answer["_page"]
        if page.is_truncated and (page.after in (None, after) if versions else page.token in ("", token)):
            raise StoreMisbehaves(f"a listing of {prefix!r} goes on, and does not say where")
        _check(page, prefix, after)
        return page

    def delete(self, bucket: str, entries: Sequence[Entry]) -> list[Refusal]:
        """At most 1,000 entries are gone, but for those in the answer. Tried once: whoever tries again looks again first, because
        somebody may have written there meanwhile.

        Errors: `StoreAway`, where it is not known which of them are gone; `Stopping`.
        """
        errors = self._delete_once(bucket, entries)
        if any(one.code in TOO_FAST for one in errors):
            self._pace.slow_down()
        return errors

    def pause(self, further: int) -> None:
        """Before the try with this number, from 1 on. Errors: `Stopping`."""
        self._sleep(FIRST_PAUSE_S * 2 ** (further - 1))

    def _delete_once(self, bucket: str, entries: Sequence[Entry]) -> list[Refusal]:
        # XML has no way to write these: each goes by itself, where the key stands in the address.
        odd = [entry for entry in entries if any(char < " " or char in "\ufffe\uffff" for char in entry.key)]
        errors = [error for entry in odd for error in self._delete_one(bucket, entry)]
        plain = [entry for entry in entries if entry not in odd] if odd else entries
        if not plain:
            return errors
        wanted = {"Objects": [self._named(entry) for entry in plain], "Quiet": True}
        try:
            answer = self._tried(
                "delete_objects", lambda: self._client.delete_objects(Bucket=bucket, Delete=wanted, **self._owner), 1
            )
        except StoreRefuses as error:
            return errors + [Refusal(entry, error.code, str(error)) for entry in plain]
        return errors + refusals_in(answer.get("Errors", ()), plain)

    def _delete_one(self, bucket: str, entry: Entry) -> list[Refusal]:
        named = self._named(entry)
        if "ETag" in named:
            named["IfMatch"] = named.pop("ETag")
        try:
            self._tried("delete_object", lambda: self._client.delete_object(Bucket=bucket, **named, **self._owner), 1)
        except StoreRefuses as error:
            return [Refusal(entry, error.code, str(error))]
        return []

    def _named(self, entry: Entry) -> dict[str, str]:
        named = {"Key": entry.key}
        if entry.version_id:
            named["VersionId"] = entry.version_id
        elif self._conditional:
            named["ETag"] = f'"{entry.etag}"'
        return named

    def uploads(self, location: Location) -> Iterator[Upload]:
        """Unfinished multipart uploads below it; none where the store knows of none."""
        asked: dict[str, Any] = {
            "Bucket": location.bucket, "Prefix": location.prefix, "EncodingType": "url", **self._owner
        }  # fmt: skip
        while True:
            try:
                answer = self._tried("list_multipart_uploads", partial(self._client.list_multipart_uploads, **asked))
            except StoreRefuses as error:
                if error.code in UNKNOWN_TO_IT or error.code == "NoSuchUpload":  # as rclone says that there is none
                    return
                raise
            if asked["Prefix"] and not answer.get("Uploads") and _is_minio(answer):
                asked["Prefix"] = ""
                continue
            is_url = answer.get("EncodingType") == "url"
            for said in answer.get("Uploads", ()):
                if (key := decoded(said["Key"], is_url)).startswith(location.prefix):
                    yield Upload(key, said["UploadId"], said.get("Initiated"))
            if not answer.get("IsTruncated"):
                return
            behind = decoded(answer.get("NextKeyMarker", ""), is_url), answer.get("NextUploadIdMarker", "")
            if behind in (("", ""), (asked.get("KeyMarker"), asked.get("UploadIdMarker"))):
                raise StoreMisbehaves(f"the uploads below {location} go on, and it does not say where")
            asked |= {"KeyMarker": behind[0], "UploadIdMarker": behind[1]}

    def abort(self, bucket: str, upload: Upload) -> bool:
        """The upload is gone. False: the store refuses."""
        try:
            self._tried(
                "abort_multipart_upload",
                lambda: self._client.abort_multipart_upload(
                    Bucket=bucket, Key=upload.key, UploadId=upload.upload_id, **self._owner
                ),
            )
        except StoreRefuses as error:
            return error.code == "NoSuchUpload"
        return True

    def _tried(self, operation: str, call: Callable[[], T], tries: int = TRIES) -> T:
        problem = ""
        for further in range(tries):
            if self.stopping.is_set():
                raise Stopping
            try:
                with self._pace.turn():
                    began = time.perf_counter()
                    try:
                        answer = call()
                    finally:
                        self._counted(operation, time.perf_counter() - began)
            except ClientError as error:
                code = code_of(error)
                message = message_of(error, code)
                if code in TOO_FAST:
                    self._pace.slow_down()
                elif code not in PASSING:
                    raise StoreRefuses(operation, code, message) from None
                problem = f"{operation}: {code}: {message}"
            except ParamValidationError as error:
                raise StoreRefuses(operation, "InvalidRequest", str(error)) from None
            except (HTTPClientError, StoreConnectionError, ResponseParserError) as error:
                problem = f"{operation}: {error}"
            except BotoCoreError as error:  # no credentials, no region, …: nothing that this call could change
                raise StoreAway(f"{operation}: {error}") from None
            else:
                self._pace.went_well()
                return answer
            if further < tries - 1:
                self.pause(further + 1)
        raise StoreAway(problem[:500])

    def _sleep(self, seconds: float) -> None:
        if self.stopping.wait(seconds * random.uniform(0.5, 1.0)):  # noqa: S311
            raise Stopping

    def _counted(self, operation: str, seconds: float) -> None:
        with self._count:
            self.calls[operation] += 1
            self.seconds[operation] = self.seconds.get(operation, 0.0) + seconds


def refusals_in(said: Sequence[dict[str, Any]], entries: Sequence[Entry]) -> list[Refusal]:
    """Pure. Some servers leave the version out: then it may be any of this key's, and none of them counts as deleted.

    Errors: `StoreMisbehaves`, where one is about a key that nobody has named.
    """
    by_name = {(entry.key, entry.version_id): entry for entry in entries}
    refused: dict[Entry, Refusal] = {}
    for one in sorted(said, key=lambda one: not one.get("VersionId")):  # those about one version say the most of it
        key, version_id = one.get("Key", ""), one.get("VersionId") or ""
        code, message = one.get("Code") or "Unknown", one.get("Message") or ""
        if (entry := by_name.get((key, version_id))) is not None:
            refused[entry] = Refusal(entry, code, message)
            continue
        of_key = [entry for entry in entries if entry.key == key]
        if not of_key:
            raise StoreMisbehaves(f"an error about {key!r}, which nobody has named")
        for entry in of_key:
            refused.setdefault(entry, Refusal(entry, code, message))
    return list(refused.values())


def _is_minio(answer: dict[str, Any]) -> bool:
    """MinIO takes the prefix of a listing of uploads for a whole key: all of the bucket's must be looked through."""
    return answer["ResponseMetadata"]["HTTPHeaders"].get("server", "").startswith("MinIO")


def _read_pages_ourselves(events: Any) -> None:
    """Listings never come to botocore's handlers and parser, each of which reads all of it anew; all else does as ever."""
    name = "before-parse.s3.*"
    builtin: list[Callable[..., None]] = [one[1] for one in BUILTIN_HANDLERS if one[0] == name]

    def read(
        operation_model: Any, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **more: Any
    ) -> None:
        is_listing = operation_model.name in ("ListObjectsV2", "ListObjectVersions")
        body: bytes = response_dict["body"]
        if is_listing and response_dict["status_code"] == 200 and b"<Error" not in body[:200]:
            try:
                customized_response_dict["_page"] = read_page(body)
            except (SyntaxError, ValueError) as error:  # ElementTree's ParseError is a SyntaxError
                raise ResponseParserError(f"no listing: {error}") from None
            response_dict["body"] = b""
            return
        for handler in builtin:
            handler(
                operation_model=operation_model, response_dict=response_dict,
                customized_response_dict=customized_response_dict, **more,
            )  # fmt: skip

    for handler in builtin:
        events.unregister(name, handler)
    events.register(name, read)


def _check(page: Page, prefix: str, after: After | None) -> None:
    """A server that does not know what it was asked for, and answers something else, shall not make us delete it."""
    for entry in page.entries:
        if not entry.key.startswith(prefix):
            raise StoreMisbehaves(f"{entry.key!r} was listed below {prefix!r}")
        if after is not None and (entry.key < after.key or (entry.key == after.key and not after.version_id)):
            raise StoreMisbehaves(f"{entry.key!r} was listed behind {after.key!r}")
    for folder in page.folders:
        if not folder.startswith(prefix) or folder == prefix:
            raise StoreMisbehaves(f"{folder!r} was listed as a folder in {prefix!r}")
