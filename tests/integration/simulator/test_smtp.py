"""E-mail by SMTP, spoken by aiosmtplib."""

import asyncio
import contextlib
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest

from deploy.simulator import Simulator


def mail(to: str = "ann@example.com") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "noreply@example.com", to, "Grüße"
    made["X-Sigmora-Delivery-Id"] = "d1"
    made.set_content("Hello\n.dot\n")
    return made


async def post(sim: Simulator, message: EmailMessage | None = None, **options: Any) -> tuple[dict[str, Any], str]:
    refused, reply = await aiosmtplib.send(
        message or mail(), hostname="127.0.0.1", port=sim.ports["smtp"], timeout=10, **options
    )
    return refused, reply


async def test_a_mail_is_taken_with_any_login(sim: Simulator) -> None:
    refused, reply = await post(sim, username="somebody", password="anything")
    (message,) = sim.inbox.messages

    assert refused == {}
    assert message.id in reply
    assert (message.to, message.subject, message.body) == ("ann@example.com", "Grüße", "Hello\n.dot\n")
    assert (message.protocol, message.delivery_id) == ("smtp", "d1")
    assert [(a.served, a.status) for a in sim.inbox.attempts] == [("accept", 250)]


async def test_smtp_knows_no_keys(sim: Simulator) -> None:
    await post(sim)
    await post(sim)

    assert sim.inbox.totals["effects"] == 2


@pytest.mark.parametrize("code", [550, 451])
async def test_a_recipient_is_refused_at_rcpt(sim: Simulator, fault: Any, code: int) -> None:
    await fault("refuse_recipient", code=code, rule={"to": "ann@*"})
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refused:
        await post(sim)

    assert refused.value.recipients[0].code == code
    assert [(a.served, a.status, a.to) for a in sim.inbox.attempts] == [("reject", code, "ann@example.com")]


async def test_one_refused_recipient_does_not_stop_the_others(sim: Simulator, fault: Any) -> None:
    await fault("refuse_recipient", rule={"to": "ann@*"})
    refused, _ = await post(sim, mail("ann@example.com, bob@example.com"))

    assert list(refused) == ["ann@example.com"]
    assert [m.to for m in sim.inbox.messages] == ["bob@example.com"]


@pytest.mark.parametrize(("status", "code"), [(503, 451), (429, 451), (400, 550), (552, 552), (421, 421)])
async def test_a_status_becomes_a_reply_code(sim: Simulator, fault: Any, status: int, code: int) -> None:
    await fault("status", code=status)
    with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
        await post(sim)

    assert refused.value.code == code
    assert sim.inbox.messages == []


async def test_too_many_mails_are_put_off(sim: Simulator, fault: Any) -> None:
    await fault("rate_limit", per_second=1)
    await post(sim)
    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await post(sim)

    assert refused.value.code == 451


async def test_a_delay_comes_before_the_reply(sim: Simulator, fault: Any) -> None:
    await fault("delay", ms=100)
    await post(sim)
    (attempt,) = sim.inbox.attempts

    assert attempt.answered_ns is not None
    assert attempt.answered_ns - attempt.at_ns >= 100_000_000


async def test_hanging_gives_no_reply(sim: Simulator, fault: Any) -> None:
    await fault("hang")
    with pytest.raises((aiosmtplib.SMTPTimeoutError, TimeoutError)):
        await aiosmtplib.send(mail(), hostname="127.0.0.1", port=sim.ports["smtp"], timeout=0.3)

    assert [(a.served, a.accepted) for a in sim.inbox.attempts] == [("hang", False)]


@pytest.mark.parametrize(("kind", "effects"), [("drop_before", 0), ("drop_after_accept", 1)])
async def test_a_dropped_connection_is_seen(sim: Simulator, fault: Any, kind: str, effects: int) -> None:
    await fault(kind)
    with pytest.raises((aiosmtplib.SMTPServerDisconnected, ConnectionError)):
        await post(sim)

    assert sim.inbox.attempts[-1].served == "drop"
    assert len(sim.inbox.messages) == effects


async def test_garbage_is_no_reply(sim: Simulator, fault: Any) -> None:
    await fault("garbage")
    with pytest.raises(aiosmtplib.SMTPException):
        await post(sim)


async def test_a_fault_that_means_nothing_here_is_passed_over(sim: Simulator, fault: Any) -> None:
    await fault("gzip_bomb", rule={"times": 1})
    await post(sim)

    assert len(sim.inbox.messages) == 1
    assert sim.faults.listed()[0]["used"] == 0


async def test_stopping_hangs_up_on_those_who_say_nothing(start: Any) -> None:
    sim = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", sim.ports["smtp"])
    assert (await reader.readline()).startswith(b"220 ")
    async with asyncio.timeout(2):
        await sim.__aexit__()
        with contextlib.suppress(ConnectionError):  # as good an end
            assert await reader.read() == b""
        writer.close()


async def test_stopping_hangs_up(start: Any, http: Any) -> None:
    sim = await start()
    async with http.post(f"{sim.url('email')}/faults", data=b'{"action": {"kind": "hang"}}'):
        pass
    sending = asyncio.ensure_future(post(sim))
    await sim.inbox.until(lambda inbox: len(inbox.attempts) == 1)
    async with asyncio.timeout(2):
        await sim.__aexit__()

    with pytest.raises((aiosmtplib.SMTPException, ConnectionError)):
        await sending
