"""The built UI: hashed assets for ever, `index.html` for every page, nothing outside the folder."""

from __future__ import annotations

import html
from pathlib import Path

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from argus_gateway.middleware import is_api
from argus_gateway.problems import problem_response, request_id_of

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class Ui:
    """An ASGI app for everything that is not `/api`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        request_id = request_id_of(request)
        if is_api(request.url.path):
            return problem_response(request_id, 404, "there is no such address")
        if request.method not in ("GET", "HEAD"):
            return problem_response(
                request_id, 405, "this address does not take this method", headers={"Allow": "GET, HEAD"}
            )
        if not (self._folder / "index.html").is_file():
            return _not_built(self._folder)
        path = request.url.path.lstrip("/")
        if "\x00" in path or "\\" in path:
            return problem_response(request_id, 404, "there is no such address")
        if path:
            found = await self._file(path, request)
            if found is not None:
                found.headers["Cache-Control"] = _FOR_EVER if path.startswith("assets/") else _ASK_AGAIN
                return found
            if path.startswith("assets/"):  # a page would be taken for a script
                return problem_response(request_id, 404, "there is no such address")
        page = await self._file("index.html", request)
        if page is None:
            return _not_built(self._folder)
        page.headers["Cache-Control"] = _ASK_AGAIN
        return page

    async def _file(self, path: str, request: Request) -> Response | None:
        try:
            return await self._files.get_response(path, request.scope)
        except HTTPException:
            return None


def _not_built(folder: Path) -> Response:
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Argus: the UI is not built</title>"
        f"<h1>The UI is not built</h1><p>There is no index.html in <code>{html.escape(str(folder))}</code>. "
        "Run <code>make ui</code>, or set <code>ARGUS_UI_DIR</code>. "
        "The API works: <a href=/api/docs>its documentation</a>.</p></html>",
        503,
        {"Retry-After": "5", "Cache-Control": "no-store"},
    )
