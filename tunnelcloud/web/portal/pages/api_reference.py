"""The API for reading: its OpenAPI document as a page, for people and without another host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from attrs import frozen

from tunnelcloud import __version__
from tunnelcloud.web.openapi import openapi_document
from tunnelcloud.web.portal.page_requests import Moved, PageRoute, Reply, Shown, Visit
from tunnelcloud.web.problems import not_found
from tunnelcloud.web.routes import ANONYMOUS, RouteTable

_ADDRESS = "/api/docs"

Schema = Mapping[str, Any]


def reference_pages(table: RouteTable) -> list[PageRoute]:
    """Make the rows of the page table for the API's description."""
    handlers = _Reference(table)
    return [
        PageRoute("GET", "/api", ANONYMOUS, handlers.lead_there),
        PageRoute("GET", _ADDRESS, ANONYMOUS, handlers.show_all),
        PageRoute("GET", f"{_ADDRESS}/{{section}}", ANONYMOUS, handlers.show_section),
    ]


@frozen
class FieldRow:
    """One field, for a person."""

    name: str
    kind: str
    required: bool
    text: str


@frozen
class OperationRow:
    """One operation, for a person."""

    name: str
    method: str
    path: str
    summary: str
    roles: tuple[str, ...]
    parameters: tuple[FieldRow, ...]
    body: tuple[FieldRow, ...]
    answers: tuple[tuple[str, str, tuple[FieldRow, ...]], ...]


@frozen
class _Reference:
    table: RouteTable

    async def lead_there(self, visit: Visit) -> Reply:
        return Moved(_ADDRESS)

    async def show_all(self, visit: Visit) -> Reply:
        """Show what operations there are; the fields of all of them would weigh too much."""
        await self.table.load()
        return Shown("api.html", {"sections": _sections(self.table), "version": __version__})

    async def show_section(self, visit: Visit) -> Reply:
        """Show the operations on one kind of resource, with their fields."""
        name = visit.params["section"]
        await self.table.load()
        operations = _sections(self.table).get(name)
        if operations is None:
            raise not_found(f"the API has no resource {name}")
        return Shown("api_section.html", {"name": name, "operations": operations})


@cache
def _sections(table: RouteTable) -> dict[str, list[OperationRow]]:
    document = openapi_document(table, __version__)
    schemas = document["components"]["schemas"]
    found: dict[str, list[OperationRow]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            row = _operation(method.upper(), path, operation, schemas)
            # A page's address has no dot.
            section = operation["tags"][0].partition(".")[0]
            found.setdefault(section, []).append(row)
    return found


def _operation(method: str, path: str, operation: Schema, schemas: Schema) -> OperationRow:
    parameters = tuple(
        FieldRow(
            one["name"],
            f"{kind_text(one['schema'])}, in the {one['in']}",
            one.get("required", False),
            one["schema"].get("description", ""),
        )
        for one in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return OperationRow(
        operation["operationId"],
        method,
        path,
        operation["summary"],
        tuple(operation.get("x-roles", ())),
        parameters,
        tuple(_fields(body.get("schema", {}), schemas)),
        tuple(_answers(operation["responses"], schemas)),
    )


def _answers(responses: Schema, schemas: Schema) -> Iterator[tuple[str, str, tuple[FieldRow, ...]]]:
    for status, answer in sorted(responses.items()):
        content = answer.get("content", {}).get("application/json", {})
        yield status, answer["description"], tuple(_fields(content.get("schema", {}), schemas))


def _fields(schema: Schema, schemas: Schema) -> Iterator[FieldRow]:
    if "$ref" in schema:
        schema = schemas[_name(schema)]
    required = schema.get("required", ())
    for name, one in schema.get("properties", {}).items():
        yield FieldRow(name, kind_text(one), name in required, one.get("description", ""))


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def kind_text(schema: Schema) -> str:
    """Write in a few words what a field may hold."""
    if "$ref" in schema:
        return _name(schema)
    options = schema.get("anyOf", ())
    if options and "type" not in schema:
        return " or ".join(kind_text(one) for one in options)
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {kind_text(schema.get('items', {}))}"
    if kind == "object" and "patternProperties" in schema:
        return f"{kind_text(next(iter(schema['patternProperties'].values())))} by name"
    formats = [one["format"] for one in (schema, *options) if "format" in one]
    said = [" or ".join(formats) or kind]
    for word, limit in (("from", "minimum"), ("to", "maximum"), ("up to", "maxLength")):
        if limit in schema:
            said.append(f"{word} {schema[limit]}")
    return " ".join(said)
