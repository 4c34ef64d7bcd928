"""Access tokens of a service account: when the endpoint is asked, with what, and what its faults mean, on sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import RSAKey

from libs.common.adapters.google_tokens import GoogleTokens, ServiceAccount, read_service_account
from libs.common.adapters.http import open_outbound
from libs.common.domain.outcome import NotNow
from libs.common.testing.providers import Behaviour, Provider, answers, babbles, hangs, never_ends, provider, resets

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def grants(token: str, seconds: int = 3600) -> Behaviour:
    return answers("200 OK", json.dumps({"access_token": token, "expires_in": seconds}).encode())


@dataclass
class Place:
    server: Provider
    tokens: GoogleTokens
    now: datetime = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with provider() as server, open_outbound() as outbound:
        account = ServiceAccount("us@shop-1.iam", PEM, f"{server.url}/token", "key-1")
        deadline = timedelta(milliseconds=300)
        place = Place(server, GoogleTokens(outbound, account, SCOPE, deadline, lambda: place.now))
        yield place


async def test_a_signed_assertion_is_traded_for_a_token(place: Place) -> None:
    place.server.script.append(grants("t1"))
    assert await place.tokens.get() == "t1"

    form = {name: value for name, [value] in parse_qs(place.server.bodies[0].decode()).items()}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assertion = jwt.decode(form["assertion"], RSAKey.import_key(PEM), algorithms=["RS256"])
    assert assertion.header["kid"] == "key-1"
    assert assertion.claims == {
        "iss": "us@shop-1.iam",
        "scope": SCOPE,
        "aud": f"{place.server.url}/token",
        "iat": int(place.now.timestamp()),
        "exp": int(place.now.timestamp()) + 3600,
    }


async def test_a_token_is_used_until_shortly_before_it_ends(place: Place) -> None:
    place.server.script.extend([grants("t1"), grants("t2")])
    assert await place.tokens.get() == "t1"
    place.now += timedelta(minutes=54)
    assert await place.tokens.get() == "t1"
    place.now += timedelta(minutes=2)
    assert await place.tokens.get() == "t2"


async def test_many_callers_share_one_request(place: Place) -> None:
    place.server.always = grants("t1")
    assert set(await asyncio.gather(*(place.tokens.get() for _ in range(50)))) == {"t1"}
    assert len(place.server.requests) == 1


async def test_a_caller_that_gives_up_takes_nobody_with_it(place: Place) -> None:
    place.server.always = grants("t1")
    impatient, patient = asyncio.create_task(place.tokens.get()), asyncio.create_task(place.tokens.get())
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "t1"


async def test_a_token_that_was_refused_is_not_given_out_again(place: Place) -> None:
    place.server.script.extend([grants("t1"), grants("t2")])
    assert await place.tokens.get() == "t1"
    assert set(await asyncio.gather(*(place.tokens.get("t1") for _ in range(20)))) == {"t2"}
    assert await place.tokens.get("t1") == "t2", "somebody else has renewed it meanwhile"
    assert len(place.server.requests) == 2


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answers("400 Bad Request", b'{"error": "invalid_grant"}'), "token_http_400"),
        (answers("503 Later"), "token_http_503"),
        (answers("302 Found", Location="http://127.0.0.1:1/"), "token_http_302"),
        (answers("200 OK", b"<html>"), "token_unreadable"),
        (answers("200 OK", b'{"expires_in": 1}'), "token_unreadable"),
        (never_ends, "token_unreadable"),
        (hangs, "token_timeout"),
        (resets, "token_reset"),
        (babbles, "token_garbage"),
    ],
)
async def test_whatever_the_fault_the_message_was_not_sent(place: Place, behaviour: Behaviour, reason: str) -> None:
    place.server.script.append(behaviour)
    place.server.always = grants("t1")
    assert await place.tokens.get() == NotNow(reason)
    assert await place.tokens.get() == "t1", "the next caller asks again"


def test_a_key_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    fields = {"type": "service_account", "client_email": "us@x", "private_key": PEM, "token_uri": "https://o.example"}
    file.write_text(json.dumps(fields))
    assert read_service_account(str(file)) == ServiceAccount("us@x", PEM, "https://o.example")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"client_email": "a", "private_key": "b", "token_uri": "c"}'])
def test_what_is_no_key_file_is_refused_without_showing_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"^is not the key file of a service account$"):
        read_service_account(str(file))
    with pytest.raises(ValueError, match="cannot be read"):
        read_service_account(str(tmp_path / "none.json"))
