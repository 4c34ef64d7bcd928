"""`sigmora match`: does this event pass this filter, and if not, which field says no. Asks the same functions as the
router; nothing is contacted. With `--cases`, many at once.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from libs.common.cli.output import AsJson, fail, show_json, show_table
from libs.common.domain.pattern import (
    BranchAnswer,
    InvalidEvent,
    InvalidPattern,
    explain,
    flatten,
    matches,
    parse,
    parse_event,
    parse_json,
)

NO_MATCH, INVALID = 1, 2


def match(
    pattern: Annotated[str, typer.Option(help="The filter: a file, - for stdin, or JSON.")] = "",
    event: Annotated[str, typer.Option(help="The event: a file, - for stdin, or JSON.")] = "",
    cases: Annotated[str, typer.Option(help="A file (or -) of lines with id, pattern and event.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell whether an event passes a filter, and which field decides. Exits with 0: yes, 1: no, 2: invalid input."""
    if cases and not (pattern or event):
        _match_cases(cases, as_json)
    elif pattern and event and not cases:
        _match_one(pattern, event, as_json)
    else:
        fail("Give --pattern and --event, or --cases.", INVALID)


def _match_one(pattern: str, event: str, as_json: bool) -> None:
    if pattern == event == "-":
        fail("--pattern and --event cannot both be read from stdin.", INVALID)
    try:
        parsed = parse_json(_read(pattern, "--pattern"))
    except InvalidPattern as refusal:
        fail(f"pattern: {refusal}", INVALID)
    try:
        fields = flatten(parse_event(_read(event, "--event")))
    except InvalidEvent as refusal:
        fail(f"event: {refusal}", INVALID)
    branches = explain(parsed, fields)
    passed = any(branch.holds for branch in branches)
    if as_json:
        show_json({"match": passed, "branches": branches})
    else:
        typer.echo("match" if passed else "no match")
        show_table("", list(_rows(branches)), ["branch", "field", "wanted", "event has", "holds"])
    if not passed:
        raise typer.Exit(NO_MATCH)


def _rows(branches: list[BranchAnswer]) -> Iterator[dict[str, str]]:
    for number, branch in enumerate(branches, 1):
        for field in branch.fields:
            yield {
                "branch": str(number),
                "field": escape(field.field),
                "wanted": escape(" or ".join(field.wanted)),
                "event has": ", ".join(_show(value) for value in field.values) or "nothing",
                "holds": "yes" if field.holds else "no",
            }
        if not branch.holds and all(field.holds for field in branch.fields):
            yield {"branch": str(number), "wanted": "all in one element of the array", "holds": "no"}


def _show(value: object) -> str:
    """A value as JSON, with nothing in it that the table would take for markup."""
    return escape(msgspec.json.encode(value).decode())


def _match_cases(source: str, as_json: bool) -> None:
    """Answer line by line; lines that are no cases are told on stderr at the end, when the others are answered."""
    rows, faults, differences = [], [], 0
    for number, line in enumerate(_read(source, "--cases").splitlines(), 1):
        if not line.strip():
            continue
        try:
            case = _read_case(line)
            answer = {"id": case["id"], **_answer(case)}
        except ValueError as error:
            faults.append(f"line {number}: {error}")
            continue
        if as_json:
            show_json(answer)
            continue
        differs = _word(case) != "" and _word(case) != _word(answer)
        differences += differs
        rows.append(
            {"id": _show(case["id"]), "answer": _word(answer), "expected": _word(case), "": "differs" * differs}
        )
    if not as_json:
        show_table(
            f"{len(rows)} cases, {differences} answered otherwise than expected", rows, list(rows[0]) if rows else []
        )
    for fault in faults:
        typer.echo(fault, err=True)
    if faults or differences:
        raise typer.Exit(INVALID if faults else NO_MATCH)


def _read_case(line: bytes) -> dict[str, Any]:
    try:
        case = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(case, dict):
        raise ValueError("a case is a JSON object")
    for key in ("id", "pattern"):
        if key not in case:
            raise ValueError(f"{key} is missing")
    return case


def _answer(case: dict[str, Any]) -> dict[str, Any]:
    try:
        pattern = parse(case["pattern"])
    except InvalidPattern as refusal:
        return {"invalid": True, "error": str(refusal)}
    if not isinstance(case.get("event"), dict):
        raise ValueError("event is missing" if "event" not in case else "event: an event is a JSON object")
    try:
        return {"match": matches(pattern, flatten(case["event"]))}
    except InvalidEvent as refusal:
        raise ValueError(f"event: {refusal}") from None


def _word(case: dict[str, Any]) -> str:
    if case.get("invalid"):
        return "invalid"
    return {True: "match", False: "no match"}.get(case.get("match"), "")  # type: ignore[arg-type] # None is no key


def _read(source: str, option: str) -> bytes:
    """What the option names: JSON in place, stdin or a file."""
    if source.lstrip().startswith("{"):
        return source.encode("utf-8", "surrogateescape")
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        fail(f"{option}: cannot read {source}: {error.strerror}", INVALID)
