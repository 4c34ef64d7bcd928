"""Lines that share a database ask it together, and each gets what is its own."""

import asyncio
from datetime import timedelta

from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import Claim, Lease, Settlement
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.testing.deliveries import MemoryDeliveries, MemoryRecipients
from libs.common.testing.stumbling import Stumbles
from services.dispatcher.sharing import SharedDeliveries, SharedRecipients


def lease(world, owner="mine") -> Lease:
    return Lease(owner, world.now, world.now + timedelta(seconds=25))


async def test_an_event_by_two_channels_is_claimed_looked_up_and_settled_at_once(world) -> None:
    calls = Stumbles()
    deliveries = SharedDeliveries(calls.wrap(MemoryDeliveries()))
    ada = Recipient(active=True, addresses={})
    recipients = SharedRecipients(calls.wrap(MemoryRecipients({("acme", "ada"): ada})))
    mail, mine = world.work("ada"), lease(world)
    text, theirs = world.work("bob"), lease(world, "the other line")
    claims = [Claim(work, 1, 1, mine.until) for work in (mail, text)]

    known = await asyncio.gather(deliveries.insert([(mail, mine)]), deliveries.insert([(text, theirs)]))
    found = await asyncio.gather(*(recipients.find({("acme", name)}) for name in ("ada", "ada", "nobody")))
    ends = [Settlement(claim, Settle(State.SENT), world.now) for claim in claims]
    settled = await asyncio.gather(*(deliveries.settle([end]) for end in ends))

    assert known == [set(), set()]
    assert [each.get(("acme", "ada")) for each in found] == [ada] * 3
    assert settled == [1, 1]
    assert calls.calls == ["insert", "find", "settle"]
    states = {key: each.state for key, each in (await deliveries.find([mail.delivery_id, text.delivery_id])).items()}
    assert states == {mail.delivery_id: State.SENT, text.delivery_id: State.SENT}


async def test_what_took_no_effect_is_told(world) -> None:
    store = MemoryDeliveries()
    deliveries = SharedDeliveries(store)
    work = world.work("ada")
    outdated = Settlement(Claim(work, 1, 0, lease(world).until), Settle(State.SENT), world.now)
    await deliveries.insert([(work, lease(world))])

    assert await deliveries.settle([outdated]) == 0
    assert await deliveries.settle([]) == 0
