"""Unsubscribe links: nobody can make one for somebody else."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.unsubscribe import EVERYTHING, Link, link_key, make_token, read_token, unsubscribe_url

KEY = link_key("0123456789abcdef0123456789abcdef")
LINK = Link("acme", "ann")


@given(st.text(), st.text(), st.text())
def test_a_token_says_what_it_was_made_of(tenant: str, subscriber: str, name: str) -> None:
    link = Link(tenant, subscriber, name)
    token = make_token(KEY, link)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert len(token) > 1_000 or read_token(KEY, token) == link


def test_a_link_stands_for_everything_unless_it_names_a_list() -> None:
    assert LINK.list_name == EVERYTHING
    assert make_token(KEY, LINK) != make_token(KEY, Link("acme", "ann", "news"))


def test_no_token_can_be_changed() -> None:
    token = make_token(KEY, LINK)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for position, was in enumerate(token):
        for instead in alphabet.replace(was, ""):
            assert read_token(KEY, token[:position] + instead + token[position + 1 :]) is None


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: t + "A", lambda t: t + "=", lambda t: t + "\n"])
def test_nor_made_longer_or_shorter(change: Callable[[str], str]) -> None:
    assert read_token(KEY, change(make_token(KEY, LINK))) is None


@pytest.mark.parametrize(
    "token", ["", "A", "AAAA", "a" * 100, "é" * 40, "\x00", "../../etc", "a" * 100_000, "%", "WyJhIl0"]
)
def test_garbage_is_no_token(token: str) -> None:
    assert read_token(KEY, token) is None


def test_a_token_of_another_key_is_none() -> None:
    assert read_token(link_key("another key"), make_token(KEY, LINK)) is None


def test_the_key_is_not_the_secret_itself_and_there_must_be_one() -> None:
    assert link_key("secret") != b"secret"
    with pytest.raises(ValueError, match="SECRET_KEY"):
        link_key("")


def test_two_links_have_two_tokens() -> None:
    assert make_token(KEY, Link("a", "b,c")) != make_token(KEY, Link("a,b", "c"))
    assert make_token(KEY, Link("a", "b")) != make_token(KEY, Link("b", "a"))


def test_the_url_is_below_the_api() -> None:
    for base in ("https://notify.example.com", "https://notify.example.com/"):
        assert unsubscribe_url(base, KEY, LINK) == f"https://notify.example.com/u/{make_token(KEY, LINK)}"
