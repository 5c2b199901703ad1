"""A WHIP client's HTTP (RFC 9725): an offer goes out, an answer comes back, and a goodbye."""

from __future__ import annotations

import email.utils
import time
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx

from visavis.clients.errors import ClientError, Refused
from visavis.clients.publish.links import IceServer, ice_servers

__all__ = ["Published", "Whip", "plain_address"]

SDP = "application/sdp"
MOST_REDIRECTS = 5
MOST_BYTES = 256 * 1024
SECONDS = 15.0
REDIRECTS = (307, 308)
QUOTED = 200  # characters of what a service says of a refusal
_SAID = {
    400: "does not understand the offer",
    401: "wants a token, or another one",
    403: "does not let this token publish",
    404: "has nothing at this address to publish to",
    405: "takes no WHIP at this address",
    406: "cannot use this offer",
    409: "is being published to already at this address",
    413: "finds the offer too long",
    415: "does not take an offer as SDP",
    422: "cannot use this offer",
    429: "is asked too often",
    503: "is full, or not ready",
}


@dataclass(frozen=True, slots=True)
class Published:
    """What an offer was answered with."""

    answer: str
    """SDP."""
    resource: str | None
    """The session's own address, which ends it; None where the service gave none."""
    ice_servers: tuple[IceServer, ...]


def plain_address(url: str) -> str:
    """Return an address without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class Whip:
    """One endpoint of a service.

    Args:
        url: of the endpoint, http or https.
        bearer: the token, where the service wants one. It is sent to the endpoint's own host alone.

    Raises:
        ClientError: it is no such address.
    """

    def __init__(self, url: str, bearer: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"{url!r} is no address to publish to, as in https://host/app/whip.")
        if bearer is not None and not (bearer.isascii() and bearer.isprintable()):
            raise ClientError("The bearer token has characters that a header cannot carry.")
        self._url = url
        self._bearer = bearer
        self._http = httpx.AsyncClient(timeout=SECONDS, follow_redirects=False)

    async def publish(self, offer: str) -> Published:
        """Send an offer.

        Raises:
            Refused: the service said no, with its status; the sentence says what that means.
            ClientError: it cannot be reached, or its answer is none.
        """
        url = self._url
        for _ in range(MOST_REDIRECTS + 1):
            status, headers, body = await self._ask("POST", url, offer)
            if status not in REDIRECTS:
                break
            url = self._redirected(url, headers.get("location"))
        else:
            raise ClientError(
                f"{plain_address(self._url)} leads on more than {MOST_REDIRECTS} times."
            )
        if status != 201:
            raise self._refused(status, headers, body, url)
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != SDP or not body.startswith("v=0"):
            raise ClientError(f"{plain_address(url)} answered with no SDP; does it take WHIP?")
        location = headers.get("location")
        return Published(
            answer=body,
            resource=None if location is None else urljoin(url, location),
            ice_servers=ice_servers(headers.get_list("link")),
        )

    async def end(self, published: Published) -> bool:
        """Say goodbye; False where the service did not hear it, or knows of no such session."""
        if published.resource is None:
            return False
        try:
            status, _, _ = await self._ask("DELETE", published.resource)
        except ClientError:
            return False
        return 200 <= status < 300

    async def aclose(self) -> None:
        """Let the connections go."""
        await self._http.aclose()

    async def _ask(
        self, method: str, url: str, offer: str | None = None
    ) -> tuple[int, httpx.Headers, str]:
        """Status, headers and body of one request.

        Raises:
            ClientError: there is no answer, or one that is too long.
        """
        headers = {} if offer is None else {"Content-Type": SDP, "Accept": SDP}
        if self._bearer is not None and _origin(url) == _origin(self._url):
            headers["Authorization"] = f"Bearer {self._bearer}"
        try:
            async with self._http.stream(method, url, content=offer, headers=headers) as response:
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise ClientError(f"{plain_address(url)} answers without an end.")
                return response.status_code, response.headers, body.decode(errors="replace")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise ClientError(f"{plain_address(url)} cannot be reached: {reason}.") from error

    def _redirected(self, url: str, location: str | None) -> str:
        target = urljoin(url, location or "")
        parts = urlsplit(target)
        if not location or parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"{plain_address(url)} leads on to no address.")
        if urlsplit(url).scheme == "https" and parts.scheme != "https":
            raise ClientError(
                f"{plain_address(url)} leads on to {plain_address(target)}, which is not encrypted."
            )
        return target

    def _refused(self, status: int, headers: httpx.Headers, body: str, url: str) -> Refused:
        what = _SAID.get(status)
        if what is None:
            what = "has failed" if status >= 500 else "does not take the offer"
        sentence = f"{plain_address(url)} {what} ({status})."
        if status == 401 and self._bearer is not None and _origin(url) != _origin(self._url):
            sentence += " It was led to from another host, and was not shown your token: name it."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        said = " ".join(body.split())
        if said and kind in ("text/plain", "application/json", "application/problem+json"):
            shown = "".join(c for c in said[:QUOTED] if c.isprintable())
            sentence += f" It says: {shown}"
        return Refused(status, sentence, _seconds(headers.get("retry-after")))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a `Retry-After` (RFC 9110 section 10.2.3), a number or a date."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
