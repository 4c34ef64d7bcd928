"""The message that comes out of an event."""

import itertools

import pytest
from structlog.testing import capture_logs

from libs.common.domain.channels import Channel
from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import Claim
from libs.common.domain.messages import Content
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.domain.templates import Template, Variant
from libs.common.domain.unsubscribe import Link, link_key, read_token
from libs.common.templates.rendering import one_line, preview
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.contract import encode
from services.dispatcher.checking import Cleared
from services.dispatcher.patience import Patience
from services.dispatcher.rendering import Links

SECRET = "0123456789abcdef0123456789abcdef"


async def outcome(world, recipient=None, **fields):
    """What becomes of one delivery to Ann."""
    work = world.work("ann", world.event(**fields))
    cleared = Cleared(Claim(work, 1, 1, world.now), "ann@example.org", recipient or Recipient(active=True), world.now)
    return (await world.renderer().render([cleared]))[0]


async def rendered(world, recipient=None, **fields):
    message = await outcome(world, recipient, **fields)
    assert isinstance(message, Message)
    return message


def by_template(template_id="greeting", version=0, **variables):
    return Content(template_id=template_id, template_version=version, variables=variables)


def add_template(world, *variants, version=1, published=True, tenant="acme"):
    world.templates.kept[tenant, "greeting", version] = Template(
        tenant=tenant,
        template_id="greeting",
        version=version,
        published=published,
        variants=variants,
        created_at=world.now,
        updated_at=world.now,
    )


def words(text, channel=Channel.EMAIL, subject="Hi", **more):
    return Variant(channel=channel, subject=subject, text=text, **more)


async def test_title_and_content_become_subject_and_text(world):
    message = await rendered(world, topic="orders")
    assert (message.subject, message.text, message.to) == ("Shipped", "It is on its way", "ann@example.org")
    assert message.metadata == {
        "notification_id": message.notification_id,
        "event_id": message.event.eventid,
        "topic": "orders",
    }


@pytest.mark.parametrize(
    ("fields", "subject"),
    [({"subject": "order/7", "topic": "orders"}, "order/7"), ({"topic": "orders"}, "orders"), ({}, "Notification")],
)
async def test_a_message_without_a_title_has_a_subject_all_the_same(world, fields, subject):
    assert (await rendered(world, data=Content(content="text"), **fields)).subject == subject


@pytest.mark.parametrize(
    "text", ["a\r\nBcc: b", "a\nBcc: b", "a\rBcc: b", "a\x00\x0b\x85Bcc: b", "a\u2028\u2029Bcc: b"]
)
def test_a_subject_cannot_break_out_of_its_line(text):
    assert one_line(text) == "a Bcc: b"


def test_a_subject_has_an_end():
    assert len(one_line("x" * 10_000)) == 500


async def test_what_is_logged_of_a_message_has_no_address_and_no_text(world):
    world.links = Links("https://notify.example.com", SECRET)
    message = await rendered(world)
    assert "example.org" not in repr(message)
    assert "on its way" not in repr(message)
    assert "notify.example.com" not in repr(message)
    assert b"example.org" in encode(message)


async def test_title_and_content_are_never_taken_for_a_template(world):
    message = await rendered(world, data=Content(title="{{ name }}", content="{{ 1 + 1 }}"))
    assert (message.subject, message.text) == ("{{ name }}", "{{ 1 + 1 }}")


async def test_a_template_is_rendered_with_the_variables_and_the_recipient(world):
    add_template(world, words("{{ name }} ({{ subscriber_id }}): {{ order }}", html="<b>{{ order }}</b>"))
    message = await rendered(world, Recipient(active=True, name="Ann"), data=by_template(order="<7>"))
    assert (message.subject, message.text, message.html) == ("Hi", "Ann (ann): <7>", "<b>&lt;7&gt;</b>")


async def test_a_given_name_goes_before_the_recipients_own(world):
    add_template(world, words("{{ name }}"))
    assert (await rendered(world, Recipient(active=True, name="Ann"), data=by_template(name="Dr Ann"))).text == "Dr Ann"


async def test_the_recipients_language_is_chosen(world):
    add_template(world, words("Hello"), words("Olá", locale="pt"), words("Oi", locale="pt-BR"))
    texts = [
        (await rendered(world, Recipient(active=True, locale=locale), data=by_template())).text
        for locale in ("pt-BR", "pt-PT", "de", "")
    ]
    assert texts == ["Oi", "Olá", "Hello", "Hello"]


async def test_the_version_that_an_event_names_is_rendered_whatever_is_current(world):
    add_template(world, words("one"))
    add_template(world, words("two"), version=2)
    add_template(world, words("draft"), version=3, published=False)
    versions = [(await rendered(world, data=by_template(version=version))).text for version in (0, 1, 2)]
    assert versions == ["two", "one", "two"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ absent }}", "missing_variable"),
        ("{{ order.absent }}", "missing_variable"),
        ("{{ order + 1 }}", "template_error"),
        ("{% for a in range(999) %}{% for b in range(999) %}{{ b }}{% endfor %}{% endfor %}", "template_error"),
    ],
)
async def test_what_cannot_be_rendered_is_undeliverable(world, text, reason):
    add_template(world, words(text))
    assert await outcome(world, data=by_template(order={})) == Settle(State.UNDELIVERABLE, reason)


async def test_a_defect_in_rendering_is_the_end_of_one_delivery_and_not_of_its_group(world, monkeypatch):
    def defective(template, channel, locale, variables):
        if variables["order"] == 1:
            raise NameError("inf")
        return preview(template, channel, locale, variables)

    monkeypatch.setattr("services.dispatcher.rendering.preview", defective)
    add_template(world, words("{{ order }}"))
    group = [
        Cleared(
            Claim(world.work("ann", world.event(data=by_template(order=order))), 1, 1, world.now),
            "ann@example.org",
            Recipient(active=True),
            world.now,
        )
        for order in (1, 2)
    ]
    with capture_logs() as lines:
        ended, message = await world.renderer().render(group)
    assert ended == Settle(State.UNDELIVERABLE, "template_error")
    assert message.text == "2"
    assert [line["event"] for line in lines] == ["render.defect", "render.failed"]


async def test_a_channel_that_the_template_has_no_words_for_is_undeliverable(world):
    add_template(world, words("text", Channel.PUSH))
    assert await outcome(world, data=by_template()) == Settle(State.UNDELIVERABLE, "no_variant")


@pytest.mark.parametrize("version", [0, 1, 4])
async def test_a_template_that_is_not_there_is_undeliverable(world, version):
    add_template(world, words("of another tenant"), tenant="other")
    add_template(world, words("draft"), version=4, published=False)
    assert await outcome(world, data=by_template(version=version)) == Settle(State.UNDELIVERABLE, "unknown_template")


async def test_a_mail_has_a_link_that_unsubscribes_its_recipient(world):
    world.links = Links("https://notify.example.com/", SECRET)
    url = (await rendered(world)).unsubscribe_url
    assert url.startswith("https://notify.example.com/u/")
    assert read_token(link_key(SECRET), url.rpartition("/")[2]) == Link("acme", "ann")


async def test_a_template_can_show_the_link(world):
    world.links = Links("https://notify.example.com", SECRET)
    add_template(world, words("{{ unsubscribe_url }}", html='<a href="{{ unsubscribe_url }}">no more</a>'))
    message = await rendered(world, data=by_template())
    assert message.text == message.unsubscribe_url
    assert f'href="{message.unsubscribe_url}"' in message.html


@pytest.mark.parametrize("links", [Links(), Links("https://notify.example.com"), Links(secret_key=SECRET)])
async def test_without_a_place_to_go_to_there_is_no_link(world, links):
    world.links = links
    message = await rendered(world)
    assert message.unsubscribe_url == ""
    assert message.headers == {}


async def test_only_mails_have_a_link(world):
    world.links = Links("https://notify.example.com", SECRET)
    world.channel = Channel.SMS
    assert (await rendered(world)).unsubscribe_url == ""


async def test_a_database_that_is_away_is_waited_for(world):
    add_template(world, words("text"))
    tries = []

    async def come_back(_seconds):
        tries.append(world.templates.away)
        world.templates.away = False

    world.templates.away = True
    renderer = world.renderer(Patience(come_back))
    work = world.work("ann", world.event(data=by_template()))
    cleared = Cleared(Claim(work, 1, 1, world.now), "ann@example.org", Recipient(active=True), world.now)
    assert (await renderer.render([cleared]))[0].text == "text"
    assert tries == [True]


async def test_a_template_that_takes_long_does_not_keep_its_lane(world):
    """A group of a hundred took 10 s; nobody else's deliveries were claimed meanwhile, and when it was done it was too
    late to send any of them: they came back together, without an attempt and without end."""
    add_template(world, words("text"))
    people = [f"p{number}" for number in range(5)]
    event = world.event(data=by_template())
    for person in people:
        world.person(person)
    seconds = itertools.count()
    world.monotonic = lambda: float(next(seconds))  # each look at the clock finds it a second later
    works = [world.work(person, event) for person in people]

    done = await world.handle(*works)

    assert len(done) == 5
    assert [world.state(work) for work in works] == [State.SENT] * 3 + [State.RETRYING] * 2
    assert {retry.attempt for retry in world.retries()} == {1}, "nothing was tried"
    await world.work_off(*works)
    assert {world.state(work) for work in works} == {State.SENT}
