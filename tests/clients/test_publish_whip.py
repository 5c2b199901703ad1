"""The HTTP of publishing: tokens, redirects, refusals, links, and what is not shown to others."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import JSONResponse, PlainTextResponse, Response

from tests.clients.whip_receiver import Receiver, receiving
from visavis.clients.errors import ClientError, Refused
from visavis.clients.publish.links import IceServer, ice_servers
from visavis.clients.publish.whip import MOST_BYTES, MOST_REDIRECTS, Whip, plain_address

SDP = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"


def answered(location: str | None = "/session/7") -> Response:
    headers = {} if location is None else {"Location": location}
    return Response(SDP, 201, headers, media_type="application/sdp")


async def asked(service: Receiver, *replies: Response, url: str = "", bearer: str | None = "key"):  # type: ignore[no-untyped-def]
    service.replies = [lambda request, reply=reply: reply for reply in replies]  # type: ignore[misc]
    whip = Whip(url or service.url, bearer)
    try:
        return await whip.publish(SDP)
    finally:
        await whip.aclose()


async def test_an_answer_has_an_end_and_relays() -> None:
    async with receiving() as service:
        reply = answered()
        reply.headers.append("Link", '<stun:stun.example:3478>; rel="ice-server"')
        reply.headers.append(
            "Link",
            '<turn:turn.example?transport=udp>; rel="ice-server"; username="a\\"b"; '
            'credential="c;d, e"; credential-type="password", <https://x.example>; rel="help"',
        )
        published = await asked(service, reply)
        assert published.answer == SDP
        assert published.resource == service.url.replace("/live/whip", "/session/7")
        assert published.ice_servers == (
            IceServer("stun:stun.example:3478"),
            IceServer("turn:turn.example?transport=udp", 'a"b', "c;d, e"),
        )
        whip = Whip(service.url, "key")
        assert await whip.end(published)
        assert service.asked[-1].method == "DELETE" and service.asked[-1].bearer == "Bearer key"
        await whip.aclose()
        published = await asked(service, answered(None))
        assert published.resource is None and not await whip.end(published)


async def test_it_is_led_on_with_its_offer() -> None:
    async with receiving() as service:
        near = Response(status_code=307, headers={"Location": "../edge/whip"})
        far = Response(status_code=308, headers={"Location": "/far/whip"})
        published = await asked(service, near, far, answered("own"))
        assert [(one.path, one.body, one.bearer) for one in service.asked] == [
            ("/live/whip", SDP, "Bearer key"),
            ("/edge/whip", SDP, "Bearer key"),
            ("/far/whip", SDP, "Bearer key"),
        ]
        assert published.resource.endswith("/far/own"), "it counts from where it was answered"


async def test_it_is_not_led_in_circles_nor_to_nowhere() -> None:
    async with receiving() as service:
        around = [Response(status_code=307, headers={"Location": "/live/whip"})] * 20
        with pytest.raises(ClientError, match="more than 5 times"):
            await asked(service, *around)
        assert len(service.asked) == MOST_REDIRECTS + 1
        for where in ({}, {"Location": "ftp://other/"}):
            with pytest.raises(ClientError, match="leads on to no address"):
                await asked(service, Response(status_code=308, headers=where))
        with pytest.raises(Refused, match="302"):  # a POST would become a GET
            await asked(service, Response(status_code=302, headers={"Location": "/edge"}))


async def test_a_token_is_not_shown_to_another_host() -> None:
    async with receiving() as service, receiving() as other:
        other.replies = [lambda request: PlainTextResponse("", 401)]
        to = Response(status_code=307, headers={"Location": other.url})
        with pytest.raises(Refused, match="was not shown your token"):
            await asked(service, to)
        assert service.asked[0].bearer == "Bearer key" and other.asked[0].bearer is None
        # Nor where to end it, if that is elsewhere.
        published = await asked(service, answered(other.url))
        whip = Whip(service.url, "key")
        await whip.end(published)
        await whip.aclose()
        assert [(one.method, one.bearer) for one in other.asked][1:] == [("DELETE", None)]


async def test_each_refusal_is_a_sentence() -> None:
    refusals = [
        (PlainTextResponse("stream key?", 401), r"wants a token, .* \(401\)\. It says: stream key"),
        (Response(status_code=404), r"nothing at this address to publish to \(404\)\.$"),
        (JSONResponse({"error": "codec"}, 406), r"cannot use this offer \(406\).*codec"),
        (Response("<h1>no</h1>", 405, media_type="text/html"), r"takes no WHIP .*\(405\)\.$"),
        (Response(status_code=418), r"does not take the offer \(418\)"),
        (Response(status_code=507), r"has failed \(507\)"),
    ]
    async with receiving() as service:
        for reply, words in refusals:
            with pytest.raises(Refused, match=words) as caught:
                await asked(service, reply)
            assert caught.value.status == reply.status_code and caught.value.retry_after is None


async def test_when_to_come_again_is_a_number_or_a_date() -> None:
    async with receiving() as service:
        for text, low, high in (
            ("17", 17, 17),
            (formatdate(time.time() + 60, usegmt=True), 50, 61),
            (formatdate(time.time() - 60, usegmt=True), 0, 0),
        ):
            with pytest.raises(Refused, match="is full") as caught:
                await asked(service, Response(status_code=503, headers={"Retry-After": text}))
            assert low <= (caught.value.retry_after or 0) <= high
        for text in ("soon", "-5", ""):
            with pytest.raises(Refused) as caught:
                await asked(service, Response(status_code=503, headers={"Retry-After": text}))
            assert caught.value.retry_after is None


async def test_what_is_no_answer_is_none() -> None:
    async with receiving() as service:
        for reply in (
            PlainTextResponse("hello", 201),
            Response("hello", 201, media_type="application/sdp"),
        ):
            with pytest.raises(ClientError, match="no SDP; does it take WHIP"):
                await asked(service, reply)
        endless = Response("v=0" + "x" * (MOST_BYTES + 1), 201, media_type="application/sdp")
        with pytest.raises(ClientError, match="without an end"):
            await asked(service, endless)
        with pytest.raises(ClientError, match="cannot be reached"):
            await asked(service, url="http://127.0.0.1:1/whip")


def test_addresses_and_tokens_that_cannot_be() -> None:
    for url in ("live.example/whip", "rtmp://live.example", "https://", ""):
        with pytest.raises(ClientError, match="no address to publish to"):
            Whip(url)
    with pytest.raises(ClientError, match="a header cannot carry"):
        Whip("https://live.example", "a\r\nb")
    secret = "https://me:pass@live.example:8443/app/whip?key=hidden"
    assert plain_address(secret) == "https://live.example:8443/app/whip"


@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_link_is_read_or_left_out(headers: list[str]) -> None:
    found = ice_servers([*headers, '<stun:s>; rel="ice-server"'])
    assert all(one.url.startswith(("stun:", "turn:", "turns:")) for one in found)
    assert IceServer("stun:s") in found or len(found) == 8
