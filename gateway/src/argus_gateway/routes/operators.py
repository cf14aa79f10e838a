"""For operators and supervisors: health, readiness, metrics, the documentation of the API."""

from __future__ import annotations

from importlib import resources

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from argus_contracts.errors import Unavailable
from argus_contracts.queries.live import GetPosition
from argus_gateway.auth import administrator, bearer_token, same_secret, signed_in, with_full_rights
from argus_gateway.bodies import Health, Readiness
from argus_gateway.parts import AllParts, Parts
from argus_gateway.problems import HttpProblem, not_found
from argus_gateway.routes.answers import PROBLEMS

router = APIRouter(tags=["operators"])
_PAGES = {
    "docs": ("docs.html", "text/html"),
    "docs.js": ("docs.js", "text/javascript"),
    "docs.css": ("docs.css", "text/css"),
}


@router.get("/healthz")
async def healthz() -> Health:
    """The process serves. Says nothing about NATS or Postgres: restarting us would not bring them back."""
    return Health()


@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(parts: AllParts, response: Response) -> Readiness:
    """NATS, Postgres and query answer."""
    checks = {"nats": await _nats(parts), "postgres": await _postgres(parts), "query": await _query(parts)}
    ready = all(said == "ok" for said in checks.values())
    if not ready:
        response.status_code = 503
        response.headers["Retry-After"] = "2"
    return Readiness(ready=ready, checks=checks)


async def _nats(parts: Parts) -> str:
    try:
        await parts.nats.round_trip()
    except Unavailable as error:
        return str(error)
    return "ok"


async def _postgres(parts: Parts) -> str:
    try:
        await parts.database.ping()
    except Unavailable as error:
        return str(error)
    return "ok"


async def _query(parts: Parts) -> str:
    try:
        await parts.asker.ask(GetPosition(), timeout_s=2.0)
    except (Unavailable, HttpProblem) as error:
        return str(error)
    return "ok"


async def _may_read_metrics(request: Request, parts: AllParts) -> None:
    """Prometheus by its own token; people and keys as global administrators."""
    wanted, said = parts.settings.metrics_token, bearer_token(request.headers)
    if wanted is not None and said is not None and same_secret(said, wanted.get_secret_value()):
        return
    await administrator(request, await with_full_rights(await signed_in(request)))


@router.get("/metrics", response_class=Response, responses=PROBLEMS, dependencies=[Depends(_may_read_metrics)])
async def metrics(parts: AllParts) -> Response:
    """Prometheus text format. No ids, no names; yet how much goes on here is not for everybody: `ARGUS_METRICS_TOKEN`."""
    return Response(parts.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/api/{page}", include_in_schema=False)
async def docs(request: Request, page: str) -> Response:
    """The documentation of the API, without anything from another origin."""
    if page == "openapi.json":
        return Response(request.app.state.openapi_json(), media_type="application/json")
    if page not in _PAGES:
        raise not_found("there is no such address")
    name, media_type = _PAGES[page]
    return Response((resources.files("argus_gateway") / "pages" / name).read_bytes(), media_type=media_type)
