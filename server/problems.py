"""Errors as ``application/problem+json`` (RFC 9457): the one place that maps them to HTTP."""

from __future__ import annotations

import logging
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from visavis.engines.errors import (
    ControlError,
    DeviceMemoryFull,
    EngineAway,
    EngineFull,
    NoRoom,
    PersonFileError,
    UnknownLookahead,
    UnknownPerson,
    VisavisError,
)
from visavis.server.errors import RequestError

__all__ = ["FULL_RETRY_SECONDS", "describe", "handle_error", "handle_http_exception", "problem"]

logger = logging.getLogger(__name__)

FULL_RETRY_SECONDS = 5


def problem(
    status: int,
    detail: str,
    *,
    retry_after: int | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """One problem; ``detail`` is a sentence that says what to do."""
    extra = dict(headers or {})
    if retry_after is not None:
        extra["Retry-After"] = str(retry_after)
    if status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = 'Bearer realm="visavis"'
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(
        body,
        status_code=status,
        headers={"Cache-Control": "no-store", **extra},
        media_type="application/problem+json",
    )


def describe(error: Exception) -> tuple[int, str, int | None]:
    """HTTP status, sentence and seconds to wait of an exception; what is a 500 goes to the log."""
    match error:
        case RequestError():
            return error.status, str(error), error.retry_after
        case UnknownPerson():
            return 404, str(error), None
        case PersonFileError():
            # What is wrong, and where the file lies, is not for visitors.
            logger.error("a person cannot be shown: %s", error)
            return 404, "This person cannot be shown; the server's log says why.", None
        case UnknownLookahead() | ControlError():
            return 422, str(error), None
        case EngineFull() | NoRoom() | EngineAway() | DeviceMemoryFull():
            return 503, str(error), FULL_RETRY_SECONDS
        case VisavisError():
            logger.error("a request failed: %s", error)
            return 500, str(error), None
        case _:
            logger.error("a request failed", exc_info=error)
            return 500, "The server made a mistake; its log says more.", None


async def handle_error(request: Request, error: Exception) -> Response:
    """The answer to an exception of ours that a route let through."""
    status, sentence, retry_after = describe(error)
    return problem(status, sentence, retry_after=retry_after)


async def handle_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such route, wrong method) in the same form."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    return problem(error.status_code, f"{error.detail}.", headers=headers)
