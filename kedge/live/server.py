"""The local server of ``kedge live``: loopback only, a token for every request, nothing written."""

import secrets
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kedge.files import finite
from kedge.live.api import Api, Refused
from kedge.live.page import page_file
from kedge.live.source import Source

HOST = "127.0.0.1"
TOKEN = "X-Kedge-Token"
MOST_REQUEST = 8 * 2**20  # bytes of a question: 20,000 boxes are under 2 MB
MOST_UPLOAD = 20 * 2**20
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_INDEX = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kedge live</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="live.css">
</head>
<body>
<div id="kedge-live"></div>
<noscript>This page draws with JavaScript.</noscript>
<script type="module" src="live.js"></script>
</body>
</html>
"""


class Limits:
    """Ends a request whose body is larger than it may be, whether or not it said so before."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = MOST_UPLOAD if scope["path"] == "/api/upload" else MOST_REQUEST
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > limit:
            await _too_large(limit)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLarge(limit)
            return message

        try:
            await self.app(scope, counted, send)
        except _TooLarge:
            await _too_large(limit)(scope, receive, send)


class _TooLarge(Exception):
    """More bytes came than were allowed."""


def _too_large(limit: int) -> JSONResponse:
    return _said(413, f"more than {limit // 2**20} MB: take a smaller one")


def _said(status: int, words: str) -> JSONResponse:
    return JSONResponse({"error": words}, status, headers=_HEADERS)


def make_app(source: Source, token: str) -> FastAPI:
    """The application that answers for ``source`` to who knows the ``token``."""
    api = Api(source)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(Limits)

    @app.middleware("http")
    async def guard(request: Request, call: Callable[[Request], Any]) -> Response:
        if request.url.path.startswith("/api"):
            given = request.headers.get(TOKEN, "")
            if not secrets.compare_digest(given.encode(), token.encode()):
                return _said(401, "the token is missing or wrong: open the address as printed")
        response: Response = await call(request)
        response.headers.update(_HEADERS)
        return response

    @app.get("/")
    def index() -> HTMLResponse:
        return HTMLResponse(_INDEX)

    @app.get("/live.js")
    def script() -> Response:
        return Response(page_file("live.js"), media_type="text/javascript")

    @app.get("/live.css")
    def style() -> Response:
        return Response(page_file("live.css"), media_type="text/css")

    @app.post("/api/upload")
    async def upload(request: Request) -> Response:
        content = await request.body()
        return await run_in_threadpool(_answered, lambda: api.upload(content))

    @app.post("/api/{name}")
    async def ask(name: str, request: Request) -> Response:
        try:
            body = await request.json()
        except (ValueError, RecursionError):
            return _said(400, "the request is no JSON")
        return await run_in_threadpool(_answered, lambda: api.ask(name, body))

    return app


def _answered(ask: Callable[[], Any]) -> Response:
    try:
        return JSONResponse(finite(ask()))
    except Refused as problem:
        return _said(422, str(problem))
    except ValueError as problem:
        return _said(400, str(problem))


def listen(port: int) -> socket.socket:
    """A socket on the loopback address; port 0: any that is free.

    ``ValueError`` where the port is taken.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError as problem:
        found.close()
        raise ValueError(f"--port {port}: {problem.strerror}; --port 0 takes any") from None
    return found


def serve(source: Source, sock: socket.socket, token: str) -> None:
    """Answer until interrupted."""
    config = uvicorn.Config(
        make_app(source, token), log_level="warning", access_log=False, lifespan="off"
    )
    try:
        uvicorn.Server(config).run(sockets=[sock])
    except KeyboardInterrupt:
        return
    finally:
        sock.close()


def address(sock: socket.socket, token: str) -> str:
    """What to open."""
    return f"http://{HOST}:{sock.getsockname()[1]}/?token={token}"
