"""The protocols spoken over HTTP, one line each; SMTP is in `deploy.simulator.smtp`."""

from deploy.simulator.dialects.contract import Contract
from deploy.simulator.dialects.dialect import Dialect
from deploy.simulator.dialects.fcm import Fcm
from deploy.simulator.dialects.hooks import Hooks
from deploy.simulator.dialects.sendgrid import SendGrid
from deploy.simulator.dialects.twilio import Twilio

DIALECTS: dict[str, tuple[Dialect, ...]] = {
    "email": (Contract("EMAIL"), SendGrid()),
    "sms": (Contract("SMS"), Twilio()),
    "push": (Contract("PUSH"), Fcm()),
    "webhook": (Hooks(),),
}
