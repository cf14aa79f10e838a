"""What Argus knows, for scripts and notebooks: runs, jobs, and the whole history of a metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, inf, nan
from typing import Any, Self
from urllib.parse import quote

import httpx
import orjson

from argus.settings import settings

MOST_POINTS = 10_000
"""That one answer holds exactly."""
_AIM = 8_000
"""Of a piece of a longer history: its buckets tell only about how many points it has."""
_PAGE = 200
_WORDS = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
Fields = dict[str, Any]


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
    """Asks one Argus over HTTP. Answers are dicts as `/docs` of the gateway describes them.

    url, token: else ARGUS_URL (or ARGUS_PUBLIC_URL, where that one names the broker) and ARGUS_TOKEN, else what `argus login`
    kept. Errors of every call: `ReadError`.
    """

    def __init__(self, url: str | None = None, token: str | None = None, timeout_s: float = 15.0) -> None:
        where = settings(url, token)
        base = where.url if where.is_http else where.public_url
        if base is None:
            raise ReadError("no address: run `argus login URL`, or set ARGUS_URL to http(s)://…")
        if not where.token:
            raise ReadError("no key: run `argus login URL`, or set ARGUS_TOKEN")
        self.url = base
        self._client = httpx.Client(
            base_url=base, headers={"Authorization": f"Bearer {where.token}"}, timeout=timeout_s
        )

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
    ) -> Iterator[Fields]:  # fmt: skip
        """The runs that one may see, the newest first; all of them, a page at a time as they are taken."""
        return self._pages(
            "/api/batches", status=[status] if isinstance(status, str) else status, project=project, label=label,
            search=search,
        )  # fmt: skip

    def run(self, batch_id: str) -> Fields:
        return self.get(run_path(batch_id))["run"]

    def jobs(self, batch_id: str) -> Iterator[Fields]:
        """The jobs of a run in natural order; all of them, a page at a time as they are taken."""
        return self._pages(f"{run_path(batch_id)}/jobs")

    def job(self, batch_id: str, job_id: str) -> Fields:
        """With its params, its result, and in `series` what each metric comes to."""
        return self.get(job_path(batch_id, job_id))["job"]

    def history(self, batch_id: str, job_id: str, key: str) -> History:
        """Every point of metric `key`, or else of the machine's reading `key`, however many there are. Without any it is empty. Errors: `ReadError`, also where a
        single step has more than 10,000 points."""
        pieces = list(self._exactly(job_path(batch_id, job_id), key, None, None))
        if len(pieces) == 1:
            return pieces[0]
        points = [
            point
            for piece in pieces
            for point in zip(piece.attempt, piece.step, piece.time_ms, piece.value, strict=True)
        ]
        if any(piece.attempt[0] != piece.attempt[-1] for piece in pieces if piece):
            points.sort(key=lambda point: point[:3])
        attempt, step, time_ms, value = (list(column) for column in zip(*points, strict=True)) if points else ([],) * 4
        return History(key, attempt, step, time_ms, value)

    def get(self, path: str, **params: Any) -> Any:
        """The decoded answer to `GET path`. Parameters that are None or empty are left out."""
        given = {name: value for name, value in params.items() if value not in (None, [], ())}
        try:
            answer = self._client.get(path, params=given)
        except httpx.HTTPError as error:
            raise ReadError(f"cannot reach {self.url}: {error or type(error).__name__}") from None
        status = answer.status_code
        if status == 401:
            raise ReadError(f"{self.url} does not accept this key; run `argus login {self.url}`", status)
        if status == 404:
            raise ReadError(f"{self.url}: {detail(answer)}; `argus runs` shows the ids of runs", status)
        if status != 200:
            raise ReadError(f"{self.url} answered {status}: {detail(answer)}", status)
        try:
            return orjson.loads(answer.content)
        except ValueError:
            raise ReadError(f"{self.url}{path} answered no JSON; is this an Argus?", status) from None

    def _pages(self, path: str, **params: Any) -> Iterator[Fields]:
        cursor = None
        while True:
            page = self.get(path, limit=_PAGE, cursor=cursor, **params)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _exactly(self, path: str, key: str, first: int | None, last: int | None) -> Iterator[History]:
        """The points from step `first` to `last`, in pieces that follow each other by step."""
        said = {"keys": key, "max_points": MOST_POINTS, "from": first, "to": last}
        series = {one["family"]: one for one in self.get(f"{path}/series", **said)["series"]}
        found = series.get("metric") or series.get("system")
        if found is None:
            yield History(key, [], [], [], [])
            return
        if not found["bucketed"]:
            yield History(key, found["attempt"], found["step"], found["time_ms"], _values(found))
            return
        for start, end in _cuts(sorted(found["step"]), found["n_points"], first, last):
            if (start, end) == (first, last):
                raise ReadError(f"step {start} of {key!r} has more than {MOST_POINTS} points: nobody can list them")
            yield from self._exactly(path, key, start, end)


def _cuts(
    steps: list[int], n_points: int, first: int | None, last: int | None
) -> Iterator[tuple[int | None, int | None]]:
    """Ranges that together are `first` to `last`, each with about 8,000 points. steps: of the last point of each bucket, which all have
    about as many."""
    n_pieces = max(2, ceil(n_points / _AIM))
    ends = sorted({steps[len(steps) * piece // n_pieces] for piece in range(1, n_pieces)} - {last})
    if not ends and last is not None and last != first:
        ends = [last - 1]  # nearly all of them are at the last step
    start = first
    for end in ends:
        yield start, end
        start = end + 1
    yield start, last


def _values(found: Fields) -> list[float]:
    """With what JSON cannot say put back; of a thousand and more such points the oldest are NaN, whatever they were."""
    values: list[float | None] = found["value"]
    words = {(one["step"], one["time_ms"]): _WORDS[one["value"]] for one in found["not_finite"]}
    if not words:
        return values  # pyright: ignore[reportReturnType] none of them is None
    places = zip(found["step"], found["time_ms"], strict=True)
    return [words.get(place, nan) if value is None else value for value, place in zip(values, places, strict=True)]


def detail(answer: httpx.Response) -> str:
    """What a problem+json answer says, or the beginning of any other."""
    try:
        said = answer.json()
        return str(said.get("detail") or said.get("title") or said)[:300]
    except (ValueError, AttributeError):
        return answer.text[:200].strip() or answer.reason_phrase


def run_path(batch_id: str) -> str:
    return f"/api/batches/{quote(batch_id, safe='')}"


def job_path(batch_id: str, job_id: str) -> str:
    return f"{run_path(batch_id)}/jobs/{quote(job_id, safe='')}"
