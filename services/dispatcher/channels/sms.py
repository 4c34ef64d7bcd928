"""SMS: by the HTTP provider contract when a base URL is set, then Twilio when an account is."""

from services.dispatcher.channels.base import Sender
from services.dispatcher.channels.contract import ContractSender
from services.dispatcher.channels.tools import Tools
from services.dispatcher.channels.twilio import TwilioSender
from services.dispatcher.settings import Settings


def providers(settings: Settings, tools: Tools) -> list[Sender]:
    """The senders of every provider that is set, preferred ones first."""
    sms, twilio, common = settings.sms, settings.twilio, settings.provider
    found: list[Sender] = []
    if sms.provider_base_url:
        found.append(
            ContractSender(
                tools.outbound,
                sms.provider_base_url,
                sms.provider_api_key,
                common.timeout,
                common.retryable_status_codes,
                tools.clock,
            )
        )
    if twilio.account_sid:
        service, number = twilio.messaging_service_sid, twilio.sender
        found.append(
            TwilioSender(
                tools.outbound,
                twilio.base_url,
                (twilio.account_sid, twilio.auth_token),
                {"MessagingServiceSid": service} if service else {"From": number},
                common.timeout,
                common.retryable_status_codes,
                tools.clock,
                twilio.status_callback_url,
            )
        )
    return found
