"""Puts right what the framework's description of the API (OpenAPI) says otherwise than the API does: bodies are as
pydantic describes them, and what is refused is answered with problem+json. Knows no route by name."""

from collections.abc import Iterator
from typing import Any

from services.api.errors import TABLE
from services.api.schemas.fields import Body

Described = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
_REF = "#/components/schemas/{model}"
_PROBLEM: Described = {
    "title": "Problem",
    "description": "What is wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["/problems/validation"]},
        "title": {"type": "string", "examples": ["Bad Request"]},
        "status": {"type": "integer", "examples": [400]},
        "detail": {"type": "string", "examples": ["The request is not valid."]},
        "errors": {
            "type": "array",
            "description": "For bad input: every fault, by place.",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "examples": ["preferences.topic[0]"]},
                    "message": {"type": "string", "examples": ["must be one line of 1 to 256 characters"]},
                },
            },
        },
    },
}


def complete(described: Described) -> Described:
    """The description, changed in place, once: the framework keeps it and gives it again."""
    components = described["components"]
    if "responses" in components:
        return described
    components["schemas"] |= {"Problem": _PROBLEM, **_bodies(components["schemas"])}
    components["responses"] = _problems()
    for path, operations in described["paths"].items():
        for method in operations.keys() & set(_METHODS):
            operation = operations[method]
            operation["responses"] |= {
                status: {"$ref": f"#/components/responses/{status}"}
                for status in sorted(_refusals(path, method, operation))
            }
    return described


def _bodies(known: Described) -> Described:
    """The request bodies among the known schemas, and what they are made of. The framework takes a mapping for a list,
    and counts the items of a list as if they were characters."""
    found: Described = {}
    for model in _models(Body):
        if model.__name__ in known:
            schema = model.model_json_schema(ref_template=_REF)
            found |= schema.pop("$defs", {})
            found[model.__name__] = schema
    return found


def _models(model: type[Body]) -> Iterator[type[Body]]:
    for child in model.__subclasses__():
        yield child
        yield from _models(child)


def _problems() -> Described:
    """By status. Where several reasons have one, the first in the table is the commonest."""
    content = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}
    rows = reversed(TABLE.values())
    return {str(refusal.status): {"description": refusal.detail, "content": content} for refusal in rows}


def _refusals(path: str, method: str, operation: Described) -> set[str]:
    """The statuses of the problems that an operation may answer with."""
    statuses = {"429", "503"}
    if operation.get("security"):
        statuses |= {"401", "403"}
    if "{" in path:
        statuses |= {"404"}
    if operation.get("requestBody"):
        statuses |= {"400", "408", "413", "415", "422"}
    if operation.get("parameters"):
        statuses |= {"400"}
    if method != "get":
        statuses |= {"409"}
    return statuses
