"""Equal filters in one place: a slot is one pattern with one profile, and the ordinals of all who have it.

A pattern of several branches has several numbers in the index of candidates. What a match reads of a slot lies in
columns by that number, since a million small objects in random places cost more to visit than to match.
"""

from array import array

from pyroaring import BitMap

from libs.common.domain.index.candidates import Candidates
from libs.common.domain.index.members import Members, with_member, without_member
from libs.common.domain.index.model import Gathered, Profile
from libs.common.domain.pattern import Fields, Pattern, holds
from libs.common.domain.pattern.model import Branch

SlotKey = tuple[str, int]
"""The key of the pattern and the number of the profile."""


class Slots:
    """The slots of one tenant."""

    def __init__(self) -> None:
        self._candidates = Candidates()
        self._numbers: dict[SlotKey, tuple[int, ...]] = {}
        self._profiles: list[Profile] = []
        self._profile_numbers: dict[Profile, int] = {}
        self._pattern: list[Pattern | None] = []  # five columns, by number: a number stands for one branch
        self._branch: list[Branch | None] = []
        self._profile = array("I")
        self._ordinal = array("I")
        self._members: dict[int, Members] = {}
        self._several = BitMap()
        """Numbers with more than one ordinal: these are in `_members`, the only one of the others is in `_ordinal`."""

    def __len__(self) -> int:
        return len(self._numbers)

    def profile_number(self, profile: Profile) -> int:
        """The number of a profile; equal profiles have one."""
        number = self._profile_numbers.get(profile)
        if number is None:
            number = self._profile_numbers[profile] = len(self._profiles)
            self._profiles.append(profile)
        return number

    def join(self, pattern: Pattern, profile: int, ordinal: int) -> tuple[Pattern, Profile]:
        """Put an ordinal into a slot; the pattern and the profile of the slot, equal to those given, are kept once."""
        numbers = self._numbers.get((pattern.key, profile))
        if numbers is None:
            self._open(pattern, profile, ordinal)
            return pattern, self._profiles[profile]
        first = numbers[0]
        held = self._members.get(first)
        if held is None and self._ordinal[first] != ordinal:
            self._set_members(numbers, array("I", (self._ordinal[first], ordinal)))
            self._several.update(numbers)
        elif held is not None and (members := with_member(held, ordinal)) is not held:
            self._set_members(numbers, members)
        return self._pattern[first] or pattern, self._profiles[profile]

    def part(self, key: SlotKey, ordinal: int) -> None:
        """Take an ordinal out of its slot, and the slot out of the index when it was the last."""
        numbers = self._numbers[key]
        held = self._members.get(numbers[0])
        if held is None:
            self._close(key, numbers)
            return
        members = without_member(held, ordinal)
        if len(members) == 1:
            for number in numbers:
                self._ordinal[number] = members[0]
                del self._members[number]
            self._several -= BitMap(numbers)
        elif members is not held:
            self._set_members(numbers, members)

    def gather(self, fields: Fields) -> Gathered:
        """The branches that the event may pass: some µs, whatever the event."""
        passed, unsure = self._candidates.gather(fields)
        return Gathered(fields, passed, unsure)

    def verify(self, gathered: Gathered) -> list[tuple[Profile, BitMap]]:
        """The ordinals of the slots whose pattern the event passes, by profile. Uses `gathered` up."""
        passed, fields = gathered.passed, gathered.fields
        for number in gathered.unsure:
            branch = self._branch[number]
            if branch is None or not holds(branch, fields):
                passed.discard(number)
        several = passed & self._several
        passed -= several
        profiles, ordinals = self._profile, self._ordinal
        single: dict[int, list[int]] = {}
        for number in passed.to_array():
            profile = profiles[number]
            if profile in single:
                single[profile].append(ordinals[number])
            else:
                single[profile] = [ordinals[number]]
        large: dict[int, list[BitMap]] = {}
        for number in several.to_array():
            profile, members = profiles[number], self._members[number]
            if isinstance(members, BitMap):
                large.setdefault(profile, []).append(members)
            else:
                single.setdefault(profile, []).extend(members)
        found = {profile: [BitMap(some)] for profile, some in single.items()}
        for profile, sets in large.items():
            found.setdefault(profile, []).extend(sets)
        return [(self._profiles[profile], BitMap.union(*sets)) for profile, sets in found.items()]

    def _set_members(self, numbers: tuple[int, ...], members: Members) -> None:
        for number in numbers:
            self._members[number] = members

    def _open(self, pattern: Pattern, profile: int, ordinal: int) -> None:
        numbers = tuple(self._candidates.enter(branch) for branch in pattern.branches)
        missing = self._candidates.end - len(self._pattern)
        if missing > 0:
            self._pattern.extend([None] * missing)
            self._branch.extend([None] * missing)
            self._profile.extend([0] * missing)
            self._ordinal.extend([0] * missing)
        for number, branch in zip(numbers, pattern.branches, strict=True):
            self._pattern[number] = pattern
            self._branch[number] = branch
            self._profile[number] = profile
            self._ordinal[number] = ordinal
        self._numbers[pattern.key, profile] = numbers

    def _close(self, key: SlotKey, numbers: tuple[int, ...]) -> None:
        pattern = self._pattern[numbers[0]]
        del self._numbers[key]
        for number in numbers:
            self._pattern[number] = self._branch[number] = None
        if pattern is not None:
            for branch, number in zip(pattern.branches, numbers, strict=True):
                self._candidates.leave(branch, number)
