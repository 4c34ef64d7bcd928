"""What counts as an address, a number, a locale, an id, an instant, an API key."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from libs.common.domain.api_keys import hash_secret, is_secret, join_key, split_key
from libs.common.domain.people import parse_email, parse_locale, parse_name, parse_phone, parse_subscriber_id
from libs.common.domain.timestamps import parse_instant


@pytest.mark.parametrize(
    ("parse", "given", "read"),
    [
        (parse_email, " Ada@Example.COM ", "ada@example.com"),
        (parse_email, "ada+news@mail.test", "ada+news@mail.test"),
        (parse_email, "ada@localhost", "ada@localhost"),
        (parse_email, "ada@xn--bcher-kva.example", "ada@bücher.example"),
        (parse_phone, "+49 (170) 123-4567", "+491701234567"),
        (parse_locale, "pt_BR", "pt-BR"),
        (parse_name, "  Ada Lovelace 🎉 ", "Ada Lovelace 🎉"),
        (parse_subscriber_id, "user_001", "user_001"),
    ],
)
def test_what_is_right_is_read_in_one_form(parse: Callable[[str], str], given: str, read: str) -> None:
    assert parse(given) == read


@pytest.mark.parametrize(
    ("parse", "given"),
    [
        *[(parse_email, bad) for bad in ("", "ada", "a@b\r\nBcc:x", "A <a@b.de>", "a(b)@c.de", "a@b\x00.de")],
        (parse_email, "a" * 65 + "@example.com"),
        (parse_email, "a@" + "b" * 320 + ".com"),
        *[(parse_phone, bad) for bad in ("", "+", "+0123456789", "0170123456", "+49abc", "+" + "1" * 16, "+١٢٣٤٥٦٧")],
        *[(parse_locale, bad) for bad in ("", "english", "de-", "d", "de;q=1")],
        *[(parse_name, bad) for bad in ("a\nb", "a\x00", "x" * 201)],
        *[(parse_subscriber_id, bad) for bad in ("", "a b", "a/b", "../a", "a@b", "x" * 129, "+4917", "é", "a\n")],
        *[(parse_instant, bad) for bad in ("", "now", "2030-01-01", "2030-01-01T00:00:00", "2030-01-01T23:59:60Z")],
        *[(parse_instant, bad) for bad in ("2030-02-30T00:00:00Z", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00Z")],
        *[(split_key, bad) for bad in ("", "sk_", "sk_a_b", "pk_a_0123456789abcdef", "sk_a_0123456789abcdef\n")],
    ],
)
def test_what_is_wrong_is_refused(parse: Callable[[str], object], given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(given)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2030-01-01T00:00:00Z", datetime(2030, 1, 1, tzinfo=UTC)),
        ("2030-01-01t02:00:00.5+02:00", datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2030-01-01T00:00:00.123456789Z", datetime(2030, 1, 1, 0, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_an_instant_is_read_in_utc(given: str, read: datetime) -> None:
    assert parse_instant(given) == read


def test_a_key_is_found_by_its_id_and_proven_by_its_secret() -> None:
    key_id, secret = split_key("sk_dev_user001_local_only_0123456789abcdef")

    assert (key_id, secret) == ("dev_user001_local_only", "0123456789abcdef")
    assert join_key(key_id, secret) == "sk_dev_user001_local_only_0123456789abcdef"
    assert is_secret(secret, hash_secret(secret))
    assert not is_secret(secret + "0", hash_secret(secret))


def test_a_secret_with_an_underscore_is_no_secret() -> None:
    with pytest.raises(ValueError, match="sk_"):
        join_key("a", "0123456789_012345")
