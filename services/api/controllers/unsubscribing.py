"""The links in mails by which somebody unsubscribes without logging in (RFC 8058). Looking at a link changes nothing,
since mail programs and virus scanners follow links; a POST ends it, once or many times, and asks for nothing."""

from contextlib import suppress

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath

from libs.common.domain.unsubscribe import Link, link_key, read_token
from services.api.errors import NotFound
from services.api.given import GivenSettings, GivenSubscribers
from services.api.settings import ApiSettings

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",  # the address is a credential of sorts
    "X-Robots-Tag": "noindex",
}
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.6rem 1.2rem}}</style></head>
<body><main><h1>{title}</h1>{body}</main></body>
</html>
"""
_ASK = _PAGE.format(
    title="Unsubscribe?",
    body="<p>You will get no more notifications from this service.</p>"
    '<form method="post"><button type="submit">Unsubscribe</button></form>',
)
_DONE = _PAGE.format(
    title="You are unsubscribed", body="<p>Nothing more will be sent to you. You can subscribe again at any time.</p>"
)


class UnsubscribingController(Controller):
    """One link for each subscriber. Whoever has it may end what is sent, and do nothing else."""

    path = "/u"
    tags = ("people",)

    @get("/{token:str}", summary="Ask whether to unsubscribe", media_type="text/html")
    async def ask(self, token: FromPath[str], settings: GivenSettings) -> Response[str]:
        """A page with a button; changes nothing."""
        _read(token, settings)
        return _page(_ASK)

    @post("/{token:str}", status_code=200, summary="Unsubscribe by one click", media_type="text/html")
    async def unsubscribe(
        self, token: FromPath[str], settings: GivenSettings, subscribers: GivenSubscribers
    ) -> Response[str]:
        """From the answer on nothing is sent any more. Needs no login, and no body; the same answer each time."""
        link = _read(token, settings)
        with suppress(NotFound):  # erased meanwhile: there is nobody left to whom anything could be sent
            await subscribers.change(
                link.tenant, link.subscriber_id, lambda found: msgspec.structs.replace(found, active=False)
            )
        return _page(_DONE)


def _read(token: str, settings: ApiSettings) -> Link:
    link = read_token(link_key(settings.secret_key), token)
    if link is None:
        raise NotFound
    return link


def _page(text: str) -> Response[str]:
    return Response(text, media_type="text/html", headers=_HEADERS)
