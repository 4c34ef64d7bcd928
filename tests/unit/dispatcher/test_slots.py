"""Who is next when a provider has no slot left."""

import asyncio

from libs.common.domain.channels import Lane
from services.dispatcher.slots import Slots


class Caller:
    """Holds a slot until it is told to let go."""

    def __init__(self, slots, lane):
        self.let_go = asyncio.Event()
        self.has_slot = False
        self.task = asyncio.create_task(self._call(slots, lane))

    async def _call(self, slots, lane):
        async with slots.taken(lane):
            self.has_slot = True
            await self.let_go.wait()

    async def end(self):
        self.let_go.set()
        await self.task


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_no_more_calls_than_slots():
    slots = Slots(4)
    callers = [Caller(slots, Lane.CRITICAL) for _ in range(6)]
    await settle()
    assert [each.has_slot for each in callers] == [True] * 4 + [False] * 2

    await callers[0].end()
    await settle()
    assert [each.has_slot for each in callers[4:]] == [True, False]
    for each in callers[1:]:
        await each.end()
    assert slots.in_use == 0


async def test_the_more_urgent_goes_first():
    slots = Slots(1)
    holder = Caller(slots, Lane.CRITICAL)
    await settle()
    bulk, standard, critical = (Caller(slots, lane) for lane in (Lane.BULK, Lane.STANDARD, Lane.CRITICAL))
    await settle()

    order = []
    for each in (holder, critical, standard):
        await each.end()
        await settle()
        order.append([bulk.has_slot, standard.has_slot, critical.has_slot])
    assert order == [[False, False, True], [False, True, True], [True, True, True]]
    await bulk.end()


async def test_a_newsletter_leaves_room_for_a_one_time_code():
    slots = Slots(8)
    newsletter = [Caller(slots, Lane.BULK) for _ in range(20)]
    await settle()
    code = Caller(slots, Lane.CRITICAL)
    await settle()

    assert sum(each.has_slot for each in newsletter) == 6
    assert code.has_slot
    for each in (*newsletter, code):
        each.let_go.set()
    await asyncio.gather(code.task, *(each.task for each in newsletter))
    assert slots.in_use == 0


async def test_a_caller_that_gives_up_while_waiting_costs_no_slot():
    slots = Slots(1)
    holder, impatient, next_one = (Caller(slots, Lane.STANDARD) for _ in range(3))
    await settle()
    impatient.task.cancel()
    await settle()
    await holder.end()
    await settle()
    assert next_one.has_slot
    await next_one.end()
    assert slots.in_use == 0


async def test_a_slot_given_to_a_caller_that_is_just_giving_up_goes_to_the_next():
    slots = Slots(1)
    holder, impatient, next_one = (Caller(slots, Lane.STANDARD) for _ in range(3))
    await settle()
    holder.let_go.set()
    await asyncio.sleep(0)  # the slot is handed over, and the one who gets it has not run yet
    impatient.task.cancel()
    await settle()
    assert next_one.has_slot
    await next_one.end()
    assert slots.in_use == 0
