"""`sigmora match`: what it prints and how it ends."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from libs.common.cli.match import match

CASES = Path(__file__).parents[2] / "cases" / "patterns.jsonl"
app = typer.Typer()
app.command()(match)


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, arguments, input=stdin, env={"COLUMNS": "120"})


def test_a_match_ends_with_0_and_shows_what_held() -> None:
    result = run("--pattern", '{"topic": ["tech"]}', "--event", '{"topic": "tech"}')
    assert result.exit_code == 0
    assert result.stdout.startswith("match\n")
    assert "topic" in result.stdout
    assert "yes" in result.stdout


def test_no_match_ends_with_1_and_shows_which_field_said_no() -> None:
    result = run("--pattern", '{"a": [1], "b": [{"prefix": "x"}]}', "--event", '{"a": 1, "b": "[bold]y"}')
    assert result.exit_code == 1
    [row] = [line for line in result.stdout.splitlines() if "prefix" in line]
    assert '"[bold]y"' in row
    assert "no" in row


def test_values_from_two_elements_are_told_as_such() -> None:
    result = run("--pattern", '{"i": {"a": [1], "b": [2]}}', "--event", '{"i": [{"a": 1}, {"b": 2}]}')
    assert result.exit_code == 1
    assert "one element" in result.stdout


def test_json_tells_the_same() -> None:
    result = run("--pattern", '{"a": [1], "b": [2]}', "--event", '{"a": 1}', "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {
        "match": False,
        "branches": [
            {
                "holds": False,
                "fields": [
                    {"field": "a", "wanted": ["1"], "values": [1], "holds": True},
                    {"field": "b", "wanted": ["2"], "values": [], "holds": False},
                ],
            }
        ],
    }


EVERY_OPERATOR = [
    ('"x"', '"x"'),
    ('"::1"', "address 0:0:0:0:0:0:0:1"),
    ('"010.0.0.1"', "address 10.0.0.1"),
    ("1.0", "1"),
    ("1e300", "1e+300"),
    ("0.5", "0.5"),
    ("9007199254740993", "9007199254740993"),
    ("null", "null"),
    ('{"prefix": "x"}', 'prefix "x"'),
    ('{"suffix": "x"}', 'suffix "x"'),
    ('{"equals-ignore-case": "Xy"}', 'equals-ignore-case "xy"'),
    ('{"prefix": {"equals-ignore-case": "Xy"}}', 'prefix, ignoring case, "xy"'),
    ('{"suffix": {"equals-ignore-case": "Xy"}}', 'suffix, ignoring case, "xy"'),
    ('{"wildcard": "a*\\\\*"}', 'wildcard "a*\\\\*"'),
    ('{"numeric": [">", 1, "<=", 2.5]}', "> 1 and <= 2.5"),
    ('{"numeric": ["=", 1]}', "1"),
    ('{"cidr": "10.1.0.0/8"}', "cidr 10.0.0.0 to 10.255.255.255"),
    ('{"anything-but": ["b", "a"]}', 'anything but "a", "b"'),
    ('{"anything-but": 1}', "anything but 1"),
    ('{"anything-but": {"prefix": "x"}}', 'anything but prefix "x"'),
    ('{"exists": true}', "exists"),
    ('{"exists": false}', "absent"),
]


@pytest.mark.parametrize(("alternative", "words"), EVERY_OPERATOR)
def test_every_operator_has_words(alternative: str, words: str) -> None:
    result = run("--pattern", '{"a": [' + alternative + "]}", "--event", "{}", "--json")
    assert json.loads(result.stdout)["branches"][0]["fields"][0]["wanted"] == [words]


def test_input_comes_from_a_file_or_from_stdin(tmp_path: Path) -> None:
    (tmp_path / "pattern.json").write_text('\ufeff{"a": ["é"]}', "utf-8")
    result = run("--pattern", str(tmp_path / "pattern.json"), "--event", "-", stdin='{"a": "é"}')
    assert result.exit_code == 0


INVALID = [
    (["--pattern", '{"a": [{"prefix": 1}]}', "--event", "{}"], "pattern: a[0].prefix: takes a string\n"),
    (["--pattern", '{"a": [1]}', "--event", '{"a": [NaN]}'], "event: not JSON"),
    (["--pattern", '{"a": [1]}', "--event", "nowhere.json"], "--event: cannot read nowhere.json: No such file"),
    (["--pattern", "-", "--event", "-"], "both"),
    (["--pattern", '{"a": [1]}'], "Give --pattern and --event, or --cases"),
    (["--pattern", '{"a": [1]}', "--cases", "x"], "Give --pattern and --event, or --cases"),
    ([], "Give --pattern and --event, or --cases"),
]


@pytest.mark.parametrize(("arguments", "message"), INVALID)
def test_invalid_input_ends_with_2_and_one_line_that_names_the_place(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_cases_are_answered_in_order_with_nothing_else_on_stdout() -> None:
    result = run("--cases", str(CASES), "--json")
    assert result.exit_code == 0
    assert result.stderr == ""
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    asked = [json.loads(line) for line in CASES.read_text("utf-8").splitlines()]
    assert [answer["id"] for answer in answers] == [case["id"] for case in asked]
    assert [answer.get("match") for answer in answers] == [case.get("match") for case in asked]
    assert all(answer["error"] for answer in answers if answer.get("invalid"))


def test_bad_lines_are_named_after_the_others_are_answered() -> None:
    lines = [
        '{"id": "one", "pattern": {"a": [1]}, "event": {"a": 1}}',
        "not json",
        "",
        "[]",
        '{"id": "no event", "pattern": {"a": [1]}}',
        '{"pattern": {"a": [1]}, "event": {}}',
        '{"id": "bad event", "pattern": {"a": [1]}, "event": 5}',
        '{"id": "deep", "pattern": {"a": [1]}, "event": ' + '{"a":' * 150 + "1" + "}" * 150 + "}",
        "[" * 5_000,
        '{"id": 2, "pattern": {"a": []}}',
    ]
    result = run("--cases", "-", "--json", stdin="\n".join(lines))
    assert result.exit_code == 2
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"id": "one", "match": True},
        {"id": 2, "invalid": True, "error": "a: an array of alternatives is not empty"},
    ]
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == [f"line {n}" for n in (2, 4, 5, 6, 7, 8, 9)]


def test_the_table_compares_with_what_was_expected() -> None:
    right = '{"id": "right", "pattern": {"a": [1]}, "event": {"a": 1}, "match": true}'
    wrong = '{"id": "wrong", "pattern": {"a": [1]}, "event": {"a": 1}, "match": false}'
    valid = '{"id": "valid", "pattern": {"a": [1]}, "event": {"a": 1}, "invalid": true}'
    open_ = '{"id": "open", "pattern": {"a": [1]}, "event": {"a": 2}}'
    assert run("--cases", "-", stdin=f"{right}\n{open_}\n").exit_code == 0
    result = run("--cases", "-", stdin=f"{right}\n{wrong}\n{valid}\n{open_}\n")
    assert result.exit_code == 1
    assert "2 answered otherwise" in result.stdout
    assert [line for line in result.stdout.splitlines() if "differs" in line and "open" in line] == []


def test_the_cases_of_the_reference_agree_in_the_table() -> None:
    result = run("--cases", str(CASES))
    assert result.exit_code == 0
    assert "400 cases, 0 answered otherwise" in " ".join(result.stdout.split())
