"""The filter language: which events somebody wants. It decides whether an event passes a filter, and refuses to know
who asks or what happens then. docs/filters.md explains the language; the semantics are those of AWS event-ruler 2.1.
"""

from libs.common.domain.pattern.errors import InvalidEvent, InvalidPattern
from libs.common.domain.pattern.explaining import BranchAnswer, FieldAnswer, explain
from libs.common.domain.pattern.fields import Fields, flatten, parse_event
from libs.common.domain.pattern.matching import holds, matches
from libs.common.domain.pattern.model import EVERYTHING, Pattern
from libs.common.domain.pattern.parsing import parse, parse_json, parse_optional
from libs.common.domain.pattern.preferences import pattern_of_preferences

__all__ = [
    "EVERYTHING",
    "BranchAnswer",
    "FieldAnswer",
    "Fields",
    "InvalidEvent",
    "InvalidPattern",
    "Pattern",
    "explain",
    "flatten",
    "holds",
    "matches",
    "parse",
    "parse_event",
    "parse_json",
    "parse_optional",
    "pattern_of_preferences",
]
