"""What Argus knows, for scripts and notebooks: runs, jobs, and the whole history of a metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf, nan
from typing import Any, Self, cast
from urllib.parse import quote

import httpx
import orjson

from argus.settings import settings, without_password

MOST_POINTS = 10_000
"""That one answer holds exactly."""
_TARGET_POINTS = 8_000
"""Of a piece of a longer history: where its points lie is only guessed."""
_EXACT_STEPS = 2**53
"""Bounds travel as floats: beyond, one step cannot be told from the next."""
_PAGE = 200
_NON_FINITE = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
Json = dict[str, Any]


class ReadError(Exception):
    """Argus could not be asked, or did not answer. The text is one line for a person.

    status: of the HTTP answer; None where there was none.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class History:
    """Every point of one metric of one job, sorted by attempt, step and time. All lists have the same length.

    step: the epoch where only that was logged, and seconds since 1970 where neither was, as of the machine's readings.
    time_ms: by the sender's clock, since 1970. value: NaN and the infinities where they were logged.
    """

    key: str
    attempt: list[int]
    step: list[int]
    time_ms: list[int]
    value: list[float]

    def __len__(self) -> int:
        return len(self.step)


class Reader:
    """Asks one Argus over HTTP. Answers are dicts, as the gateway describes them at `/api/docs`. Threads may share one.

    url, token: else ARGUS_URL (or ARGUS_PUBLIC_URL, where that one names the broker) and ARGUS_TOKEN, else what `argus login`
    kept. Errors of every call: `ReadError`.
    """

    def __init__(self, url: str | None = None, token: str | None = None, timeout_s: float = 15.0) -> None:
        if url is not None and not url.strip().startswith(("http://", "https://")):
            raise ReadError("url must start with http:// or https://")
        where = settings(url, token)
        base = where.url if where.is_http else where.public_url
        if base is None:
            raise ReadError("no address: run `argus login URL`, or set ARGUS_URL to http(s)://…")
        if not where.token:
            raise ReadError("no key: run `argus login URL`, or set ARGUS_TOKEN")
        self.url = without_password(base)
        headers = {"Authorization": f"Bearer {where.token}"}
        self._client = httpx.Client(base_url=base, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Its connections are closed."""
        self._client.close()

    def runs(
        self, *, status: str | list[str] | None = None, project: str | None = None, label: str | None = None,
        search: str | None = None,
    ) -> Iterator[Json]:  # fmt: skip
        """The runs that one may see, the newest first; all of them, a page at a time as they are taken.

        status: any of these; of an empty list there are none.
        """
        if status == []:
            return iter(())
        return self._pages(
            "/api/batches", status=[status] if isinstance(status, str) else status, project=project, label=label,
            search=search,
        )  # fmt: skip

    def run(self, batch_id: str) -> Json:
        return self._field(run_path(batch_id), "run")

    def jobs(self, batch_id: str) -> Iterator[Json]:
        """The jobs of a run in natural order; all of them, a page at a time as they are taken."""
        return self._pages(f"{run_path(batch_id)}/jobs")

    def job(self, batch_id: str, job_id: str) -> Json:
        """With its params, its result, and in `series` what each metric comes to."""
        return self._field(job_path(batch_id, job_id), "job")

    def history(self, batch_id: str, job_id: str, key: str) -> History:
        """Every point of metric `key`, or else of the machine's reading `key`, however many there are.

        Without any it is empty. Errors: `ReadError`, also where a single step has more points than one answer holds.
        """
        pieces = list(self._pieces(job_path(batch_id, job_id), key, None, None))
        if len(pieces) == 1:
            return pieces[0]
        found = History(key, [], [], [], [])
        for piece in pieces:
            found.attempt.extend(piece.attempt)
            found.step.extend(piece.step)
            found.time_ms.extend(piece.time_ms)
            found.value.extend(piece.value)
        if len(set(found.attempt)) <= 1:
            return found
        order = sorted(range(len(found)), key=found.attempt.__getitem__)  # pieces follow each other by step
        columns = (found.attempt, found.step, found.time_ms, found.value)
        return History(key, *([column[place] for place in order] for column in columns))  # pyright: ignore[reportArgumentType]

    def get(self, path: str, **params: Any) -> Any:
        """The decoded answer to `GET path`. Parameters that are None or empty are left out."""
        given = {name: value for name, value in params.items() if value not in (None, [], ())}
        return self._asked("GET", path, params=given)

    def _asked(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._client.request(method, path, **options)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ReadError(f"cannot reach {self.url}: {error or type(error).__name__}") from None
        status = answer.status_code
        if status == 401:
            raise ReadError(f"{self.url} does not accept this key; run `argus login {self.url}`", status)
        if status == 404:
            raise ReadError(f"{self.url}: {detail(answer)}; `argus runs` shows the ids of runs", status)
        if not 200 <= status < 300:
            raise ReadError(f"{self.url} answered {status}: {detail(answer)}", status)
        try:
            return orjson.loads(answer.content)
        except ValueError:
            raise ReadError(f"{self.url}{path} answered no JSON; is this an Argus?", status) from None

    def _field(self, path: str, name: str, **params: Any) -> Any:
        answer = self.get(path, **params)
        if not isinstance(answer, dict) or name not in answer:
            raise ReadError(f"{self.url}{path} answered without {name!r}; is this an Argus?", 200)
        return cast("Json", answer)[name]

    def _pages(self, path: str, **params: Any) -> Iterator[Json]:
        cursor = None
        while True:
            page = self.get(path, limit=_PAGE, cursor=cursor, **params)
            try:
                items, cursor = page["items"], page["next_cursor"]
            except (TypeError, KeyError):
                raise ReadError(f"{self.url}{path} answered without a list; is this an Argus?", 200) from None
            yield from items
            if cursor is None:
                return

    def _pieces(self, path: str, key: str, first: int | None, last: int | None) -> Iterator[History]:
        """The points from step `first` to `last`, in pieces that follow each other by step."""
        # Said twice, because `a,b` said once means two keys.
        asked = {"keys": [key, key], "max_points": MOST_POINTS, "from": first, "to": last}
        series = {one["family"]: one for one in self._field(f"{path}/series", "series", **asked) if one["key"] == key}
        found = series.get("metric") or series.get("system")
        if found is None:
            yield History(key, [], [], [], [])
            return
        if not found["bucketed"] and found["value"].count(None) <= len(found["not_finite"]):
            yield _history(key, found)
            return
        for start, end in _cuts(sorted(found["step"]), found["n_points"], first, last):
            if (start, end) != (first, last):
                yield from self._pieces(path, key, start, end)
            elif found["bucketed"]:
                raise ReadError(f"step {start} of {key!r} has {found['n_points']} points: more than one answer holds")
            else:
                yield _history(key, found)


def _cuts(
    steps: list[int], n_points: int, first: int | None, last: int | None
) -> Iterator[tuple[int | None, int | None]]:
    """Ranges that together are `first` to `last`, smaller than it where a step lies between; about 8,000 points in each where they
    lie evenly. steps: ascending, of a thousand and more of the points, or the last of each bucket."""
    n_pieces = max(2, ceil(n_points / _TARGET_POINTS))
    ends = {steps[len(steps) * piece // n_pieces] for piece in range(1, n_pieces)} if steps else set[int]()
    ends = sorted(end for end in ends if end != last and abs(end) < _EXACT_STEPS)
    if not ends and last is not None and last != first and abs(last) < _EXACT_STEPS:
        ends = [last - 1]  # nearly all of them are at the last step
    start = first
    for end in ends:
        yield start, end
        start = end + 1
    yield start, last


def _history(key: str, found: Json) -> History:
    """The points of one answer, with what JSON cannot say put back. Both are in one order; where a step has more of these than the answer
    tells, the oldest are NaN, whatever they were."""
    values: list[Any] = found["value"]
    if told := [_NON_FINITE[one["value"]] for one in found["not_finite"]]:
        places = [place for place, value in enumerate(values) if value is None]
        for place, value in zip(places, [nan] * (len(places) - len(told)) + told, strict=True):
            values[place] = value
    return History(key, found["attempt"], found["step"], found["time_ms"], values)


def _segment(name: str) -> str:
    """`name` as a part of an address. Errors: `ReadError` where nothing can have it."""
    if name in ("", ".", ".."):
        raise ReadError(f"there is nothing with the id {name!r}", 404)
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        raise ReadError(f"there is nothing with the id {name!r}", 404) from None


def detail(answer: httpx.Response) -> str:
    """What a problem+json answer says, or the beginning of any other."""
    try:
        said = answer.json()
        return str(said.get("detail") or said.get("title") or said)[:300]
    except (ValueError, AttributeError):
        return answer.text[:200].strip() or answer.reason_phrase


def run_path(batch_id: str) -> str:
    return f"/api/batches/{_segment(batch_id)}"


def job_path(batch_id: str, job_id: str) -> str:
    return f"{run_path(batch_id)}/jobs/{_segment(job_id)}"
