"""What a person may write as a fault, and how bad input is named."""

import msgspec
import pytest

from deploy.simulator.faults import MOST_RULES, Faults, read_rule, shown
from deploy.simulator.problems import Refused
from deploy.simulator.rules import Facts

GOOD = [
    '{"action": {"kind": "status", "code": 503, "headers": {"Retry-After": "-1"}}}',
    '{"action": {"kind": "status", "code": 400, "body": {"error": "x"}}, "channel": "SMS", "to": "+49*", "times": 3}',
    '{"action": {"kind": "delay", "ms": 0}, "proportion": 0}',
    '{"action": {"kind": "status", "code": 400, "body": ' + "[" * 51 + "]" * 51 + "}}",
    '{"action": {"kind": "hang"}}',
    '{"action": {"kind": "drop_before"}, "proportion": 1}',
    '{"action": {"kind": "drop_after_accept"}}',
    '{"action": {"kind": "rate_limit", "per_second": 10, "retry_after": 2}}',
    '{"action": {"kind": "garbage", "accept": false}}',
    '{"action": {"kind": "malformed_json"}}',
    '{"action": {"kind": "drip", "bytes_per_second": 0.5}}',
    '{"action": {"kind": "endless"}}',
    '{"action": {"kind": "gzip_bomb", "megabytes": 1}}',
    '{"action": {"kind": "refuse_recipient", "code": 451}}',
]

BAD = [
    ("", ""),
    ("[]", ""),
    ('{"action": ', ""),
    ("[" * 100_000, ""),
    ('{"action": {"kind": "hang"}, "times": "\\ud800"}', ""),  # a lone surrogate is no text
    ('{"action": {"kind": "status", "code": 500, "body": ' + "[" * 100_000, ""),
    ('{"action": {"kind": "status", "code": 500, "body": ' + "[" * 500 + "]" * 500 + "}}", "action.body"),
    ('{"action": {"kind": "status", "code": 500, "body": ' + "[" * 52 + "]" * 52 + "}}", "action.body"),
    ("{}", "action"),
    ('{"action": 5}', "action"),
    ('{"action": {}}', "action.kind"),
    ('{"action": {"kind": "explode"}}', "action.kind"),
    ('{"action": {"kind": "status"}}', "action.code"),
    ('{"action": {"kind": "status", "code": "500"}}', "action.code"),
    ('{"action": {"kind": "status", "code": 199}}', "action.code"),
    ('{"action": {"kind": "status", "code": 600}}', "action.code"),
    ('{"action": {"kind": "status", "code": 1e400}}', "action.code"),
    ('{"action": {"kind": "status", "code": 500, "headers": {"X": "a\\r\\nSet-Cookie: b"}}}', "action.headers"),
    ('{"action": {"kind": "status", "code": 500, "headers": {"X Y": "a"}}}', "action.headers"),
    ('{"action": {"kind": "status", "code": 500, "headers": {"X": "ü"}}}', "action.headers"),
    ('{"action": {"kind": "status", "code": 500, "headers": {"Content-Length": "5"}}}', "action.headers"),
    ('{"action": {"kind": "delay", "ms": -1}}', "action.ms"),
    ('{"action": {"kind": "rate_limit", "per_second": 0}}', "action.per_second"),
    ('{"action": {"kind": "drip", "bytes_per_second": 0}}', "action.bytes_per_second"),
    ('{"action": {"kind": "refuse_recipient", "code": 250}}', "action.code"),
    ('{"action": {"kind": "hang", "ms": 5}}', "action.ms"),
    ('{"action": {"kind": "hang"}, "times": 0}', "times"),
    ('{"action": {"kind": "hang"}, "proportion": 1.01}', "proportion"),
    ('{"action": {"kind": "hang"}, "proportion": NaN}', ""),
    ('{"action": {"kind": "hang"}, "channel": "FAX"}', "channel"),
    ('{"action": {"kind": "hang"}, "to": ""}', "to"),
    ('{"action": {"kind": "hang"}, "colour": 1}', "colour"),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_rule_is_shown_as_it_was_written(text: str) -> None:
    written = msgspec.json.decode(text)
    told = shown(Faults(seed=1).add(read_rule(text.encode())))

    assert told["action"] == {**told["action"], **written["action"]}
    assert told == {"id": "f1", "used": 0, **written, "action": told["action"]}


@pytest.mark.parametrize(("text", "field"), BAD)
def test_a_bad_rule_is_refused_and_its_field_is_named(text: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        read_rule(text.encode())

    assert refused.value.status == 400
    assert refused.value.field == field
    assert refused.value.message


def test_too_many_rules_are_refused() -> None:
    faults = Faults(seed=1)
    rule = read_rule(b'{"action": {"kind": "hang"}}')
    for _ in range(MOST_RULES):
        faults.add(rule)

    with pytest.raises(Refused, match="remove some"):
        faults.add(rule)


def test_an_id_is_never_given_twice() -> None:
    faults = Faults(seed=1)
    rule = read_rule(b'{"action": {"kind": "hang"}}')
    first = faults.add(rule)
    faults.clear()
    second = faults.add(rule)

    assert first.id != second.id
    assert faults.remove(second.id)
    assert not faults.remove(second.id)


def test_without_rules_no_dice_are_thrown() -> None:
    assert Faults(seed=1).judge(Facts("EMAIL", ("ann@example.com",))) is None
