"""EMAIL: by the HTTP provider contract when a base URL is set, then SendGrid when a key is, SMTP when a host is."""

from services.dispatcher.channels.base import Sender
from services.dispatcher.channels.contract import ContractSender
from services.dispatcher.channels.sendgrid import SendGridSender
from services.dispatcher.channels.smtp import SmtpSender, SmtpServer
from services.dispatcher.channels.tools import Tools
from services.dispatcher.settings import Settings


def providers(settings: Settings, tools: Tools) -> list[Sender]:
    """The senders of every provider that is set, preferred ones first."""
    email, sendgrid, smtp, common = settings.email, settings.sendgrid, settings.smtp, settings.provider
    found: list[Sender] = []
    if email.provider_base_url:
        found.append(
            ContractSender(
                tools.outbound,
                email.provider_base_url,
                email.provider_api_key,
                common.timeout,
                common.retryable_status_codes,
                tools.clock,
            )
        )
    if sendgrid.api_key:
        found.append(
            SendGridSender(
                tools.outbound,
                sendgrid.base_url,
                sendgrid.api_key,
                email.sender or smtp.sender,
                common.timeout,
                common.retryable_status_codes,
                tools.clock,
            )
        )
    if smtp.host:
        server = SmtpServer(smtp.host, smtp.port, smtp.sender, smtp.username, smtp.password, smtp.starttls, smtp.tls)
        mail = SmtpSender(server, common.timeout, tools.clock, keep=smtp.idle_connections)
        tools.at_end.push_async_callback(mail.close)
        found.append(mail)
    return found
