"""One table a rule of the language, in the order of the reference's own description of its edge cases."""

import pytest

from libs.common.domain.pattern import InvalidPattern, flatten, matches, parse_event, parse_json

YES, NO = True, False

FIELDS_AND_PATHS = [
    ("1 an empty object leaves no trace", '{"a": [{"exists": false}]}', '{"a": {}}', YES),
    ("1 an empty array leaves no trace", '{"a": [{"exists": false}]}', '{"a": []}', YES),
    ("2 a dotted key is a nested path", '{"a.b": ["x"]}', '{"a": {"b": "x"}}', YES),
    ("2 a nested path is a dotted key", '{"a": {"b": ["x"]}}', '{"a.b": "x"}', YES),
    ("2 key names are case sensitive", '{"A": ["x"]}', '{"a": "x"}', NO),
    ("2 the empty key is a key", '{"": {"": ["x"]}}', '{"": {"": "x"}}', YES),
    ("3 of a path written twice the later counts", '{"a.b": ["x"], "a": {"b": ["y"]}}', '{"a": {"b": "y"}}', YES),
    ("3 and the earlier does not", '{"a.b": ["x"], "a": {"b": ["y"]}}', '{"a": {"b": "x"}}', NO),
    ("4 fields are all needed", '{"a": ["x"], "b": ["y"]}', '{"a": "x"}', NO),
    ("4 one alternative is enough", '{"a": ["x", "y", "y"]}', '{"a": "y"}', YES),
]

VALUES = [
    ("6 a digit is not a number", '{"a": ["1"]}', '{"a": 1}', NO),
    ("6 a word is not a boolean", '{"a": ["true"]}', '{"a": true}', NO),
    ("6 a word is not null", '{"a": ["null"]}', '{"a": null}', NO),
    ("6 zero is not false", '{"a": [0]}', '{"a": false}', NO),
    ("6 true is not one", '{"a": [true]}', '{"a": 1}', NO),
    ("7 numbers are equal by value", '{"a": [1]}', '{"a": 1.00}', YES),
    ("7 in any notation", '{"a": [10e-1]}', '{"a": 1e0}', YES),
    ("7 minus zero is zero", '{"a": [0]}', '{"a": -0.0}', YES),
    ("8 a long number equals itself", '{"a": [9007199254740993]}', '{"a": 9007199254740993}', YES),
    ("8 and not its neighbour", '{"a": [9007199254740993]}', '{"a": 9007199254740992}', NO),
    ("8 nor the double that is nearest", '{"a": [9223372036854775808]}', '{"a": 9.223372036854775808e18}', NO),
    ("8 the shortest decimal equals its double", '{"a": [9223372036854776000]}', '{"a": 9.223372036854775808e18}', YES),
    ("8 no range has a long number", '{"a": [{"numeric": [">", 0]}]}', '{"a": 1234567890123456789}', NO),
    ("8 it is anything but a number", '{"a": [{"anything-but": 1}]}', '{"a": 1234567890123456789}', YES),
    ("8 there is no limit of 5e9", '{"a": [{"numeric": [">", 5e9]}]}', '{"a": 1e300}', YES),
    ("8 a number beyond doubles is text", f'{{"a": [1{"0" * 400}]}}', f'{{"a": 1{"0" * 400}}}', YES),
    ("10 null is a value", '{"a": [null]}', '{"a": null}', YES),
    ("10 it is not a missing field", '{"a": [null]}', "{}", NO),
    ("10 nor an empty string", '{"a": [null]}', '{"a": ""}', NO),
    ("11 nothing is normalized", '{"a": ["\\u00e9"]}', '{"a": "e\\u0301"}', NO),
]

STRINGS = [
    ("12 prefix sees strings only", '{"a": [{"prefix": "1"}]}', '{"a": 12}', NO),
    ("12 suffix sees strings only", '{"a": [{"suffix": "e"}]}', '{"a": true}', NO),
    ("12 wildcard sees strings only", '{"a": [{"wildcard": "*"}]}', '{"a": 12}', NO),
    ("13 an empty prefix is in every string", '{"a": [{"prefix": ""}]}', '{"a": ""}', YES),
    ("13 but not in null", '{"a": [{"suffix": ""}]}', '{"a": null}', NO),
    ("14 a prefix without case", '{"a": [{"prefix": {"equals-ignore-case": "OrD"}}]}', '{"a": "oRder"}', YES),
    ("14 a suffix without case", '{"a": [{"suffix": {"equals-ignore-case": "DER"}}]}', '{"a": "oRder"}', YES),
    ("14 a suffix that grows", '{"a": [{"suffix": {"equals-ignore-case": "aße"}}]}', '{"a": "STRASSE"}', YES),
    ("15 straße accepts STRASSE", '{"a": [{"equals-ignore-case": "straße"}]}', '{"a": "STRASSE"}', YES),
    ("15 but not strasse", '{"a": [{"equals-ignore-case": "straße"}]}', '{"a": "strasse"}', NO),
    ("15 STRASSE refuses straße", '{"a": [{"equals-ignore-case": "STRASSE"}]}', '{"a": "straße"}', NO),
    ("15 sigma is not final sigma", '{"a": [{"equals-ignore-case": "Σ"}]}', '{"a": "ς"}', NO),
    ("15 sigma is small sigma, at the end too", '{"a": [{"equals-ignore-case": "ΟΔΟΣ"}]}', '{"a": "οδοσ"}', YES),
    ("15 the Kelvin sign accepts k", '{"a": [{"equals-ignore-case": "\\u212a"}]}', '{"a": "k"}', YES),
    ("15 k refuses the Kelvin sign", '{"a": [{"equals-ignore-case": "k"}]}', '{"a": "\\u212a"}', NO),
    ("15 a longer value is another", '{"a": [{"equals-ignore-case": "high"}]}', '{"a": "HIGHER"}', NO),
    ("16 a star is any run", '{"a": [{"wildcard": "a*c"}]}', '{"a": "ab\\nbc"}', YES),
    ("16 an empty one too", '{"a": [{"wildcard": "a*c"}]}', '{"a": "ac"}', YES),
    ("16 the two ends do not overlap", '{"a": [{"wildcard": "aba*aba"}]}', '{"a": "ababa"}', NO),
    ("16 the whole string must match", '{"a": [{"wildcard": "a*c"}]}', '{"a": "acd"}', NO),
    ("16 the middle parts keep their order", '{"a": [{"wildcard": "*b*a*"}]}', '{"a": "ab"}', NO),
    ("16 a star can be escaped", '{"a": [{"wildcard": "a\\\\*"}]}', '{"a": "a*"}', YES),
    ("16 an escaped star is no wildcard", '{"a": [{"wildcard": "a\\\\*"}]}', '{"a": "ab"}', NO),
    ("16 after an escaped star a wildcard may stand", '{"a": [{"wildcard": "\\\\**"}]}', '{"a": "*x"}', YES),
    ("16 a backslash can be escaped", '{"a": [{"wildcard": "a\\\\\\\\*"}]}', '{"a": "a\\\\b"}', YES),
    ("16 other signs are ordinary", '{"a": [{"wildcard": "?.[*"}]}', '{"a": "abc"}', NO),
    ("16 an empty wildcard is the empty string", '{"a": [{"wildcard": ""}]}', '{"a": ""}', YES),
]

ANYTHING_BUT = [
    ("17 it needs a value", '{"a": [{"anything-but": "x"}]}', "{}", NO),
    ("17 an empty array is none", '{"a": [{"anything-but": "x"}]}', '{"a": []}', NO),
    ("17 an object is none", '{"a": [{"anything-but": "x"}]}', '{"a": {"b": 1}}', NO),
    ("18 another type is different", '{"a": [{"anything-but": "1"}]}', '{"a": 1}', YES),
    ("18 under prefix too", '{"a": [{"anything-but": {"prefix": "x"}}]}', '{"a": true}', YES),
    ("18 a string is no number", '{"a": [{"anything-but": [1]}]}', '{"a": "1"}', YES),
    ("19 one different element is enough", '{"a": [{"anything-but": "a"}]}', '{"a": ["a", "b"]}', YES),
    ("19 nothing but excluded ones fail", '{"a": [{"anything-but": ["a", "b"]}]}', '{"a": ["a", "b"]}', NO),
    ("20 nested lists", '{"a": [{"anything-but": {"suffix": ["x", "y"]}}]}', '{"a": "by"}', NO),
    ("20 nested without case", '{"a": [{"anything-but": {"equals-ignore-case": "X"}}]}', '{"a": "x"}', NO),
    ("20 nested wildcard", '{"a": [{"anything-but": {"wildcard": "*x*"}}]}', '{"a": "aba"}', YES),
    ("26 it compares text, not addresses", '{"a": [{"anything-but": "::1"}]}', '{"a": "0:0:0:0:0:0:0:1"}', YES),
]

NUMERIC_AND_EXISTS = [
    ("21 equality", '{"a": [{"numeric": ["=", 5.0]}]}', '{"a": 5}', YES),
    ("21 below", '{"a": [{"numeric": ["<", 5]}]}', '{"a": 5}', NO),
    ("21 at most", '{"a": [{"numeric": ["<=", 5]}]}', '{"a": 5}', YES),
    ("21 above", '{"a": [{"numeric": [">", 5]}]}', '{"a": 5}', NO),
    ("21 at least", '{"a": [{"numeric": [">=", 5]}]}', '{"a": 5}', YES),
    ("21 within a range", '{"a": [{"numeric": [">", 0, "<=", 5]}]}', '{"a": 5}', YES),
    ("21 outside of a range", '{"a": [{"numeric": [">", 0, "<=", 5]}]}', '{"a": 0}', NO),
    ("22 an object does not exist as a value", '{"a": [{"exists": true}]}', '{"a": {"b": 1}}', NO),
    ("22 nor an array of empty things", '{"a": [{"exists": true}]}', '{"a": [{}, [[]]]}', NO),
    ("22 null exists", '{"a": [{"exists": true}]}', '{"a": null}', YES),
    ("23 absence beside a value: absent", '{"a": [{"exists": false}, "x"]}', "{}", YES),
    ("23 absence beside a value: the value", '{"a": [{"exists": false}, "x"]}', '{"a": "x"}', YES),
    ("23 absence beside a value: another", '{"a": [{"exists": false}, "x"]}', '{"a": "y"}', NO),
    (
        "24 absence after a fixed element looks at that one",
        '{"items": {"sku": ["A"], "z": [{"exists": false}]}}',
        '{"items": [{"sku": "A"}, {"sku": "B", "z": 1}]}',
        YES,
    ),
    (
        "24 paths are ordered by UTF-16 code units, not by code points",
        '{"i": {"\\ud83d\\ude00": [{"exists": false}], "\\uff5a": ["A"]}}',
        '{"i": [{"\\uff5a": "A"}, {"\\ud83d\\ude00": 1}]}',
        NO,
    ),
    (
        "24 absence before it looks at all",
        '{"items": {"sku": ["A"], "a": [{"exists": false}]}}',
        '{"items": [{"sku": "A"}, {"sku": "B", "a": 1}]}',
        NO,
    ),
]

ADDRESSES = [
    ("25 inside of a range", '{"a": [{"cidr": "10.1.2.3/16"}]}', '{"a": "10.1.255.255"}', YES),
    ("25 outside of it", '{"a": [{"cidr": "10.1.2.3/16"}]}', '{"a": "10.2.0.0"}', NO),
    ("25 IPv6", '{"a": [{"cidr": "2001:DB8::/32"}]}', '{"a": "2001:db8:ffff::1"}', YES),
    ("25 every IPv6 address, and no IPv4 one", '{"a": [{"cidr": "::/0"}]}', '{"a": "10.0.0.1"}', NO),
    ("25 no port", '{"a": [{"cidr": "10.0.0.0/8"}]}', '{"a": "10.0.0.1:80"}', NO),
    ("25 no brackets", '{"a": [{"cidr": "::/0"}]}', '{"a": "[::1]"}', NO),
    ("25 no zone", '{"a": [{"cidr": "fe80::/10"}]}', '{"a": "fe80::1%eth0"}', NO),
    ("25 no dotted tail", '{"a": [{"cidr": "10.0.0.0/8"}]}', '{"a": "::ffff:10.0.0.1"}', NO),
    ("25 a mapped address is an IPv4 one", '{"a": [{"cidr": "10.0.0.0/8"}]}', '{"a": "::ffff:a00:1"}', YES),
    ("25 no octet over 255", '{"a": [{"cidr": "10.0.0.0/8"}]}', '{"a": "10.0.0.256"}', NO),
    ("26 one address in two spellings", '{"a": ["::1"]}', '{"a": "0:0:0:0:0:0:0:1"}', YES),
    ("26 in upper case", '{"a": ["2001:db8::ab"]}', '{"a": "2001:DB8::AB"}', YES),
    ("26 octets are decimal", '{"a": ["10.0.0.1"]}', '{"a": "010.0.0.1"}', YES),
    ("26 two gaps make no address", '{"a": ["1::2::3"]}', '{"a": "1::2::3"}', YES),
    ("26 three colons make no address", '{"a": [":::"]}', '{"a": "::"}', NO),
    ("26 nine groups make no address", '{"a": ["1:2:3:4:5:6:7:8:9"]}', '{"a": "1:2:3:4:5:6:7:8:09"}', NO),
    ("26 a gap stands for at least one group", '{"a": ["1:2:3:4:5:6:7::"]}', '{"a": "1:2:3:4:5:6:7:0"}', YES),
    ("26 prefixes see text", '{"a": [{"prefix": "0:"}]}', '{"a": "::1"}', NO),
]

ARRAYS = [
    ("27 any element", '{"a": ["x"]}', '{"a": ["y", "x"]}', YES),
    ("27 through nested arrays", '{"a": ["x"]}', '{"a": [["y"], [["x"]]]}', YES),
    ("28 one element", '{"i": {"a": [1], "b": [2]}}', '{"i": [{"a": 1, "b": 2}]}', YES),
    ("28 not two", '{"i": {"a": [1], "b": [2]}}', '{"i": [{"a": 1}, {"b": 2}]}', NO),
    ("28 nor in arrays of arrays", '{"i": {"a": [1], "b": [2]}}', '{"i": [[{"a": 1}], [{"b": 2}]]}', NO),
    ("28 at every level", '{"i": {"j": {"a": [1], "b": [2]}}}', '{"i": [{"j": [{"a": 1}, {"b": 2}]}]}', NO),
    ("28 an outer field binds", '{"i": {"j": {"a": [1]}, "k": [2]}}', '{"i": [{"j": [{"a": 1}]}, {"k": 2}]}', NO),
    ("28 other arrays are independent", '{"i": {"a": [1]}, "j": {"b": [2]}}', '{"i":[{},{"a":1}],"j":[{"b":2}]}', YES),
    (
        "28 a later choice may be the right one",
        '{"i": {"a": [1], "b": [2]}}',
        '{"i": [{"a": 1}, {"b": 2}, {"a": 1, "b": 2}]}',
        YES,
    ),
    ("29 scalars in an array bind nothing", '{"a": ["x"], "b": ["y"]}', '{"a": ["x", "z"], "b": ["w", "y"]}', YES),
]

OR = [
    ("31 after a field, the branch overrides", '{"a": ["x"], "$or": [{"a": ["y"]}, {"b": ["z"]}]}', '{"a": "y"}', YES),
    ("31 in that branch only", '{"a": ["x"], "$or": [{"a": ["y"]}, {"b": ["z"]}]}', '{"a": "y", "b": "z"}', YES),
    ("31 the other branch keeps it", '{"a": ["x"], "$or": [{"a": ["y"]}, {"b": ["z"]}]}', '{"b": "z"}', NO),
    ("31 before a field, the field overrides", '{"$or": [{"a": ["y"]}, {"b": ["z"]}], "a": ["x"]}', '{"a": "y"}', NO),
    ("31 in every branch", '{"$or": [{"a": ["y"]}, {"b": ["z"]}], "a": ["x"]}', '{"a": "x"}', YES),
    ("30 it may nest", '{"$or": [{"a": {"$or": [{"b": [1]}, {"c": [2]}]}}, {"d": [3]}]}', '{"a": {"c": 2}}', YES),
    ("30 outside of it, names of operators are fields", '{"prefix": ["x"]}', '{"prefix": "x"}', YES),
    (
        "32 consistency is judged branch by branch",
        '{"$or": [{"i": {"a": [1]}}, {"i": {"b": [2]}}]}',
        '{"i": [{"a": 2}, {"b": 2}]}',
        YES,
    ),
]

EVERY_RULE = [*FIELDS_AND_PATHS, *VALUES, *STRINGS, *ANYTHING_BUT, *NUMERIC_AND_EXISTS, *ADDRESSES, *ARRAYS, *OR]


@pytest.mark.parametrize(("pattern", "event", "answer"), [pytest.param(*row[1:], id=row[0]) for row in EVERY_RULE])
def test_the_rule_holds(pattern: str, event: str, answer: bool) -> None:
    assert matches(parse_json(pattern), flatten(parse_event(event))) is answer


REFUSED = [
    ("5 an empty pattern", "{}", "", "not empty"),
    ("5 a bare scalar", '{"a": "x"}', "a", "array"),
    ("5 an empty array", '{"a": {"b": []}}', "a.b", "not empty"),
    ("5 a nested array", '{"a": ["x", ["y"]]}', "a[1]", "alternative"),
    ("5 two operators", '{"a": [{"prefix": "x", "suffix": "y"}]}', "a[0]", "exactly one"),
    ("9 a long number in a range", '{"a": [{"numeric": [">", 9007199254740993]}]}', "a[0].numeric[1]", "double"),
    ("9 a long number excluded", '{"a": [{"anything-but": 9007199254740993}]}', "a[0].anything-but", "double"),
    ("13 an empty prefix excluded", '{"a": [{"anything-but": {"prefix": ""}}]}', "a[0].anything-but.prefix", "empty"),
    (
        "14 no case-free prefix under anything-but",
        '{"a": [{"anything-but": {"prefix": {"equals-ignore-case": "x"}}}]}',
        "a[0].anything-but.prefix",
        "string",
    ),
    ("16 two stars", '{"a": [{"wildcard": "x**"}]}', "a[0].wildcard", "in a row"),
    ("16 another escape", '{"a": [{"wildcard": "\\\\n"}]}', "a[0].wildcard", "backslash"),
    ("16 a backslash at the end", '{"a": [{"wildcard": "x\\\\"}]}', "a[0].wildcard", "backslash"),
    ("20 mixed types", '{"a": [{"anything-but": ["x", 1]}]}', "a[0].anything-but", "not both"),
    ("20 an empty list", '{"a": [{"anything-but": []}]}', "a[0].anything-but", "at least one"),
    ("20 an empty nested list", '{"a": [{"anything-but": {"suffix": []}}]}', "a[0].anything-but.suffix", "at least"),
    ("20 a boolean", '{"a": [{"anything-but": true}]}', "a[0].anything-but", "strings or numbers"),
    ("21 the top first", '{"a": [{"numeric": ["<", 5, ">", 0]}]}', "a[0].numeric", "starts with"),
    ("21 an empty range", '{"a": [{"numeric": [">=", 5, "<=", 5]}]}', "a[0].numeric", "below"),
    ("21 a boolean bound", '{"a": [{"numeric": [">", true]}]}', "a[0].numeric[1]", "number"),
    ("21 an unknown sign", '{"a": [{"numeric": ["!=", 1]}]}', "a[0].numeric[0]", "one of"),
    ("25 one IPv4 address", '{"a": [{"cidr": "10.0.0.1/32"}]}', "a[0].cidr", "at most 31"),
    ("25 one IPv6 address", '{"a": [{"cidr": "::1/128"}]}', "a[0].cidr", "at most 127"),
    ("25 no address", '{"a": [{"cidr": "10.0.0.256/8"}]}', "a[0].cidr", "address/bits"),
    ("30 a choice of one", '{"$or": [{"a": ["x"]}]}', "$or", "two or more"),
    ("30 a choice that is no object", '{"b": {"$or": [{"a": ["x"]}, 1]}}', "b.$or[1]", "object"),
    ("30 an operator as a field", '{"$or": [{"a": {"cidr": ["x"]}}, {"b": [1]}]}', "$or[0].a.cidr", "operator"),
    ("an unknown operator", '{"a": [{"regex": "x"}]}', "a[0]", "no operator"),
    ("an array", "[]", "", "object"),
    ("not JSON", '{"a": [NaN]}', "", "not JSON"),
    ("Infinity", '{"a": [1e999]}', "", "not JSON"),
    ("half a character", '{"a": ["\\ud800"]}', "", "not JSON"),
    ("deep nesting", '{"a":' * 101 + '["x"]' + "}" * 101, ".".join(["a"] * 100), "deeper"),
    ("very deep nesting", '{"a":' * 40_000, "", "deeper"),
    (
        "alternatives of many branches",
        f'{{"$or": [{", ".join(["""{"a": [1]}"""] * 1_000)}], "z": {list(range(101))}}}',
        "",
        "alternatives when $or is expanded",
    ),
    ("a long text", '{"a": ["' + "x" * 300_000 + '"]}', "", "longer"),
]


@pytest.mark.parametrize(("text", "path", "reason"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_a_broken_filter_is_refused_with_place_and_reason(text: str, path: str, reason: str) -> None:
    with pytest.raises(InvalidPattern) as refusal:
        parse_json(text)
    assert refusal.value.path == path
    assert reason in refusal.value.reason
    assert str(refusal.value) == (f"{path}: {refusal.value.reason}" if path else refusal.value.reason)


def test_a_filter_is_not_much_larger_than_its_text() -> None:
    """Each branch repeated what the filter says beside its `$or`: 200 KB of text took 390 MB, in every router."""
    choices = ", ".join(f'{{"a": ["{number}"]}}' for number in range(1_000))
    text = f'{{"$or": [{choices}], "z": [{", ".join(chr(34) + str(n) * 80 + chr(34) for n in range(90))}]}}'

    pattern = parse_json(text)

    assert len(pattern.branches) == 1_000
    assert len(pattern.key) < 4 * len(text)
    assert sum(len(branch.key) for branch in pattern.branches) < 4 * len(text)


def test_of_many_prefixes_and_suffixes_the_right_one_accepts() -> None:
    """They are looked up by length, longer than the value or empty ones too."""
    parts = [f'{{"prefix": "{"p" * length}!"}}, {{"suffix": "?{"s" * length}"}}' for length in range(50)]
    pattern = parse_json(f'{{"a": [{", ".join(parts)}]}}')

    def passes(value: str) -> bool:
        return matches(pattern, flatten({"a": value}))

    assert all(passes("p" * length + "!rest") and passes("rest?" + "s" * length) for length in range(50))
    assert not any(passes(value) for value in ("", "p", "p" * 60 + "!", "?" + "s" * 60, "s?s!x"))
    assert matches(parse_json('{"a": [{"suffix": ""}]}'), flatten({"a": ""}))


def test_absence_in_arrays_is_found_once_for_each_field() -> None:
    """1,000 branches that asked for it walked through every element 1,000 times: 13 s for one event."""
    choices = [f'{{"x": {{"a": [1], "b": [{{"exists": false}}, {number}], "c": [2]}}}}' for number in range(40)]
    pattern = parse_json(f'{{"$or": [{", ".join(choices)}]}}')
    fields = flatten({"x": [{"a": 1, "b": 99}, {"a": 1, "c": 2}]})

    assert matches(pattern, fields)
    assert set(fields.agreeing) == {"x.b"}
    assert not matches(pattern, flatten({"x": [{"a": 1, "b": 99, "c": 2}, {"a": 1, "b": 99, "c": 2}]}))
