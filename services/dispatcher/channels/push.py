"""PUSH: a device whose token is a browser's subscription gets web push; the others go by the HTTP provider contract
when a base URL is set, then by Firebase when a project is."""

from datetime import timedelta

from libs.common.adapters.google_tokens import GoogleTokens, read_service_account
from libs.common.adapters.vapid import Vapid
from services.dispatcher.channels.base import Choice, Message, Sender
from services.dispatcher.channels.contract import ContractSender
from services.dispatcher.channels.fcm import SCOPE, FcmSender
from services.dispatcher.channels.retiring import Retiring
from services.dispatcher.channels.tools import Tools
from services.dispatcher.channels.unconfigured import UnconfiguredSender
from services.dispatcher.channels.webpush import WebPushSender, is_subscription
from services.dispatcher.settings import Settings

_TOKEN_SHARE = 0.4
"""The part of the deadline in which an access token must be had: the rest is for the message."""


def providers(settings: Settings, tools: Tools) -> list[Sender]:
    """The senders of every provider that is set, preferred ones first; each sends web push to browsers."""
    browsers = _browsers(settings, tools)
    devices = _devices(settings, tools)
    if browsers is None:
        return devices
    return [_choice(device, browsers) for device in devices or [UnconfiguredSender()]]


def _choice(device: Sender, browsers: Sender) -> Sender:
    def choose(message: Message) -> Sender:
        return browsers if is_subscription(message.to) else device

    return Choice(f"{device.provider}+{browsers.provider}", choose)


def _browsers(settings: Settings, tools: Tools) -> Sender | None:
    webpush, common = settings.webpush, settings.provider
    if not webpush.private_key:
        return None
    vapid = Vapid(webpush.private_key, webpush.subject)
    sender = WebPushSender(tools.guarded, vapid, common.timeout, common.retryable_status_codes, tools.clock)
    return Retiring(sender, tools.endpoints)


def _devices(settings: Settings, tools: Tools) -> list[Sender]:
    push, fcm, common = settings.push, settings.fcm, settings.provider
    found: list[Sender] = []
    if push.provider_base_url:
        found.append(
            ContractSender(
                tools.outbound,
                push.provider_base_url,
                push.provider_api_key,
                common.timeout,
                common.retryable_status_codes,
                tools.clock,
            )
        )
    if fcm.project_id:
        account = read_service_account(fcm.credentials_file)
        share: timedelta = common.timeout * _TOKEN_SHARE
        tokens = GoogleTokens(tools.outbound, account, SCOPE, share, tools.clock)
        sender = FcmSender(
            tools.outbound,
            fcm.base_url,
            fcm.project_id,
            tokens,
            common.timeout,
            common.retryable_status_codes,
            tools.clock,
        )
        found.append(Retiring(sender, tools.endpoints))
    return found
