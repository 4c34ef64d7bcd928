"""Credentials and signatures."""

import base64
import hashlib
import hmac

import pytest

from deploy.simulator.access import Access, verify
from deploy.simulator.problems import Refused

KEY = b"a secret of enough bytes"
NOW = 1_700_000_000
BODY = b'{"type":"order.paid"}'


def signed(key: bytes = KEY, at: int | str = NOW, body: bytes = BODY, **other: str) -> dict[str, str]:
    """Headers signed as the Standard Webhooks specification says."""
    digest = hmac.new(key, b"msg_1." + str(at).encode() + b"." + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature, **other}


def test_the_example_of_the_specification_is_accepted() -> None:
    """The vector that the reference libraries test with."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }

    assert verify(key, headers, b'{"test": 2432232314}', 1614265330) == "ok"


@pytest.mark.parametrize("at", [NOW - 300, NOW, NOW + 300])
def test_a_signature_of_now_is_accepted(at: int) -> None:
    assert verify(KEY, signed(at=at), BODY, NOW) == "ok"


def test_one_of_several_signatures_is_enough() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1a,xxx v1,bm90IGl0 {headers['webhook-signature']}"

    assert verify(KEY, headers, BODY, NOW) == "ok"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (signed(key=b"another"), "bad_signature"),
        (signed(body=b"another"), "bad_signature"),
        (signed() | {"webhook-signature": "v1,"}, "bad_signature"),
        (signed() | {"webhook-signature": "v1,ü"}, "bad_signature"),
        (signed() | {"webhook-id": "msg_2"}, "bad_signature"),
        (signed(at=NOW - 301), "stale_timestamp"),
        (signed(at=NOW + 301), "stale_timestamp"),
        (signed(at="soon"), "stale_timestamp"),
        (signed(at="9" * 5000), "stale_timestamp"),
        (signed() | {"webhook-id": ""}, "missing_header"),
        ({}, "missing_header"),
    ],
)
def test_any_other_is_refused_with_its_reason(headers: dict[str, str], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        verify(KEY, headers, BODY, NOW)

    assert (refused.value.status, refused.value.verification) == (401, reason)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_???", "kürz"])
def test_a_secret_must_be_base64(secret: str) -> None:
    with pytest.raises(Refused, match="base64"):
        Access(None).guard_hook("orders", secret)


def test_a_hook_without_a_secret_is_not_checked() -> None:
    access = Access(None)
    access.guard_hook("orders", "whsec_" + base64.b64encode(KEY).decode())

    assert access.verify_hook("others", {}, BODY, NOW) == "unchecked"
    assert access.verify_hook("orders", signed(), BODY, NOW) == "ok"
    access.open_hook("orders")
    assert access.verify_hook("orders", {}, BODY, NOW) == "unchecked"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic secret", "Bearer sécret", "secret"])
def test_a_wrong_bearer_is_refused(authorization: str) -> None:
    with pytest.raises(Refused):
        Access("secret").bearer({"Authorization": authorization})


def test_the_api_key_and_a_token_given_out_are_accepted() -> None:
    access = Access("secret")

    access.bearer({"Authorization": "Bearer secret"})
    access.bearer({"Authorization": f"bearer {access.issue()}"})
    access.basic({"Authorization": "Basic " + base64.b64encode(b"AC1:secret").decode()})


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic ???", "Basic " + base64.b64encode(b"AC1:no").decode()])
def test_wrong_basic_authentication_is_refused(authorization: str) -> None:
    with pytest.raises(Refused):
        Access("secret").basic({"Authorization": authorization})


def test_without_an_api_key_nobody_is_asked() -> None:
    Access(None).bearer({})
    Access(None).basic({})
