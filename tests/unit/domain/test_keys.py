"""Ids are derived: equal inputs, equal ids; and what differs never meets."""

from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain import keys

words = st.text(max_size=20)


@given(words, words, words)
def test_the_same_event_has_the_same_id_whoever_computes_it(tenant: str, source: str, source_id: str) -> None:
    assert keys.event_id(tenant, source, source_id) == keys.event_id(tenant, source, source_id)


@given(st.tuples(words, words, words), st.tuples(words, words, words))
def test_different_events_never_share_an_id(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Moving a character from one part to the next is another event."""
    assert (keys.event_id(*one) == keys.event_id(*other)) == (one == other)


def test_a_delivery_differs_by_subscriber_channel_endpoint_and_generation_and_by_nothing_else() -> None:
    base = keys.delivery_id("e", "s", "EMAIL", "main", 0)
    others = {
        keys.delivery_id("x", "s", "EMAIL", "main", 0),
        keys.delivery_id("e", "x", "EMAIL", "main", 0),
        keys.delivery_id("e", "s", "INAPP", "main", 0),
        keys.delivery_id("e", "s", "EMAIL", "phone", 0),
        keys.delivery_id("e", "s", "EMAIL", "main", 1),
    }

    assert len(others | {base}) == 6


def test_ids_stay_what_they_are() -> None:
    """An id that changed with a release would send everything again in a replay."""
    assert keys.event_id("default", "/api", "1") == "351322d9-2656-51f9-ad4e-2b5317a6fd22"
    assert keys.delivery_id("e", "s", "EMAIL", "main") == "55f99f9c-28de-510b-933f-05653f7f8233"
    assert keys.notification_id("e", "s") == "1c381f6d-5aa8-5c2f-bb16-8c182f1043a1"


def test_a_claim_is_scoped_by_tenant_and_route() -> None:
    assert len({keys.claim_id(t, r, "k") for t in ("a", "b") for r in ("x", "y")}) == 4
