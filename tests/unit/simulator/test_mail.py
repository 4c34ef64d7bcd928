"""Mails taken apart."""

from email.message import EmailMessage
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.simulator.mail import read_mail
from deploy.simulator.smtp import reply_code

DELIVERY = UUID("8f1f5c3e-0000-5000-8000-000000000001")


def mail(**headers: str) -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = "Grüße ☕"
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content("Hello\n.dot\nünï\n")
    made.add_alternative("<b>Hello</b>\n", subtype="html")
    return made


def test_both_bodies_and_the_subject_are_read() -> None:
    sent = read_mail(mail().as_bytes(), "from@example.com", ("ann@example.com",))

    assert sent.to == ("ann@example.com",)
    assert sent.subject == "Grüße ☕"
    assert sent.body == "Hello\n.dot\nünï\n"
    assert sent.html == "<b>Hello</b>\n"
    assert sent.headers["envelope-from"] == "from@example.com"


def test_headers_of_sigmora_become_the_metadata() -> None:
    raw = mail(X_Sigmora_Notification_Id="n1", X_Sigmora_Delivery_Id=str(DELIVERY), List_Unsubscribe="<https://u>")
    sent = read_mail(raw.as_bytes(), "", ())

    assert sent.metadata == {"notification_id": "n1", "delivery_id": str(DELIVERY)}
    assert sent.key == sent.delivery_id == str(DELIVERY)
    assert sent.headers["list-unsubscribe"] == "<https://u>"


@pytest.mark.parametrize(
    ("message_id", "delivery_id"),
    [(f"<{DELIVERY}@sigmora.example>", str(DELIVERY)), ("<anything@else>", None), ("", None)],
)
def test_a_message_id_made_of_a_uuid_names_the_delivery(message_id: str, delivery_id: str | None) -> None:
    assert read_mail(mail(Message_ID=message_id).as_bytes(), "", ()).delivery_id == delivery_id


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00",
        b"Subject: =?utf-8?B?!!!?=\r\n\r\nx",
        b"Subject: \xff\xfe\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=klingon\r\n\r\nnuqneH \xff",
        b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",  # a lone surrogate
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\nno parts",
        b"Message-ID: <[\r\nFrom: @@@<>\r\n\r\n",
        b"To: a\r\n b\r\n\tc@\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
    ],
)
def test_a_broken_mail_is_read_as_far_as_it_goes(raw: bytes) -> None:
    sent = read_mail(raw, "", ("ann@example.com",))

    sent.body.encode()  # it must be text that JSON can carry
    (sent.subject or "").encode()


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(raw: bytes) -> None:
    sent = read_mail(raw, "", ())

    (sent.body + "".join(sent.headers.values())).encode()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, 250),
        (500, 451),
        (503, 451),
        (429, 451),
        (408, 451),
        (400, 550),
        (404, 550),
        (550, 550),
        (421, 421),
        (552, 552),
    ],
)
def test_an_http_status_has_its_smtp_code(status: int, code: int) -> None:
    assert reply_code(status) == code
