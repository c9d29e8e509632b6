"""The OpenAPI 3.1 document, made from the route table and the models that validate."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web.encoding import encode_json
from tunnelcloud.web.problems import CONTENT_TYPE
from tunnelcloud.web.routes import ANONYMOUS, LINES_TYPE, Call, Encoded, Route, RouteTable

_REF = "#/components/schemas/{model}"
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "further_errors": {
            "type": "integer",
            "description": "How many more there are, where not all are listed.",
        },
    },
}


class Described(BaseModel):
    """An OpenAPI 3.1 document, as that says."""

    model_config = ConfigDict(extra="allow")

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]


_Key = tuple[type[BaseModel], JsonSchemaMode]


def openapi_route(
    table: RouteTable, apart: Callable[[Callable[[], Encoded]], Awaitable[Encoded]], version: str
) -> Route:
    """Make the row of the description itself.

    :param apart: makes it away from the reactor's thread: that takes 300 ms, the first time.
    :param version: the program's.
    """
    made: list[Encoded] = []

    def document() -> Encoded:
        body = encode_json(openapi_document(table, version))
        return Encoded(body, hashlib.sha256(body).hexdigest()[:16])

    async def show(_: Call) -> Encoded:
        await table.load()
        if not made:
            made.append(await apart(document))
        return made[0]

    return Route(
        "GET",
        "/openapi.json",
        "openapi",
        "Describe this API, in OpenAPI 3.1.",
        ANONYMOUS,
        show,
        answer=Described,
    )


def openapi_document(table: RouteTable, version: str) -> dict[str, Any]:
    """Describe every operation.

    :param version: the program's.
    """
    wanted: list[_Key] = sorted(
        {key for route in table.routes for key in _models(route)},
        key=lambda key: (key[0].__name__, key[1]),
    )
    refs, definitions = models_json_schema(wanted, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in table.routes:
        operation = _operation(route, refs)
        made = operation["responses"].get("201")
        if made is not None and (links := _links(route, table)):
            made["links"] = links
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TunnelCloud Admin API",
            "version": version,
            "description": "What administrators, auditors and users do, over HTTP.",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _links(made: Route, table: RouteTable) -> dict[str, Any]:
    """Say what can be done with an object that was just made: every operation on one like it."""
    if made.answer is None or "id" not in made.answer.model_fields:
        return {}
    same = {name: f"$request.path.{name}" for name in made.parameters}
    found: dict[str, Any] = {}
    for route in table.routes:
        beyond = route.path.removeprefix(f"{made.path}/")
        if route.path == beyond or len(route.parameters) != len(same) + 1:
            continue
        [own] = [name for name in route.parameters if name not in same]
        if beyond.startswith(f"{{{own}}}"):
            parameters = {**same, own: "$response.body#/id"}
            found[route.name] = {"operationId": route.name, "parameters": parameters}
    return found


def _models(route: Route) -> list[_Key]:
    keys: list[_Key] = []
    if route.body is not None:
        keys.append((route.body, "validation"))
    if route.answer is not None:
        keys.append((route.answer, "serialization"))
    return keys


def _operation(route: Route, refs: Mapping[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.path.strip("/").split("/")[0]],
        "responses": _responses(route, refs),
    }
    parameters = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": "^[a-z]{3}_[0-9a-v]{26}$"},
        }
        for name in route.parameters
    ]
    parameters += _query_parameters(route)
    if route.item and route.method in {"PATCH", "DELETE"}:
        parameters.append({"name": "If-Match", "in": "header", "schema": {"type": "string"}})
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[(route.body, "validation")]}},
        }
    if not route.roles:
        operation["security"] = []
    else:
        operation["x-roles"] = sorted(route.roles)
    return operation


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema()
    definitions = schema.get("$defs", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": _inlined(field, definitions)}
        for name, field in schema["properties"].items()
    ]


def _query_fields(route: Route) -> Collection[str]:
    return () if route.query is None else route.query.model_fields


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Put definitions in place of references: a parameter's schema stands alone."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    # A null in a query is a parameter left out.
    options = [item for item in schema.get("anyOf", ()) if item != {"type": "null"}]
    if len(options) == 1:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return _inlined({**options[0], **rest}, definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _responses(route: Route, refs: Mapping[Any, Any]) -> dict[str, Any]:
    if route.lines:
        lines = {LINES_TYPE: {"schema": {"type": "string"}}}
        answers: dict[str, Any] = {"200": {"description": "OK", "content": lines}}
    elif route.answer is None:
        answers = {"204": {"description": "Done."}}
    else:
        schema = refs[(route.answer, "serialization")]
        good: dict[str, Any] = {
            "description": route.status.phrase,
            "content": {"application/json": {"schema": schema}},
        }
        if route.item:
            good["headers"] = {"ETag": {"schema": {"type": "string"}}}
        answers = {str(int(route.status)): good}
    for status in _refusals(route):
        answers[str(int(status))] = {
            "description": status.phrase,
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return answers


def _refusals(route: Route) -> list[HTTPStatus]:
    statuses = [HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE]
    if route.roles:
        statuses += [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN]
    if route.parameters or "cursor" in _query_fields(route):
        statuses.append(HTTPStatus.NOT_FOUND)
    if route.body is not None or route.query is not None:
        statuses.append(HTTPStatus.UNPROCESSABLE_ENTITY)
    changes = route.method in {"POST", "PATCH", "PUT", "DELETE"}
    if (route.body is not None and not route.roles) or (changes and Role.USER in route.roles):
        # What anybody may ask for is counted by address, what users change by user.
        statuses.append(HTTPStatus.TOO_MANY_REQUESTS)
    if route.body is not None:
        statuses += [HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE]
    if changes:
        statuses.append(HTTPStatus.CONFLICT)
    if route.item and route.method in {"PATCH", "DELETE"}:
        statuses.append(HTTPStatus.PRECONDITION_FAILED)
    return sorted(statuses)
