"""Bodies of requests, from strict JSON to the models of the route table."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import BaseModel, ValidationError

from tunnelcloud.web import problems
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import Route
from tunnelcloud.web.strict_json import BadJSON, read_json

READ_AT_ONCE = 16 * 1024
"""A body up to this size is read in less than a few milliseconds."""


def read_body(route: Route, raw: bytes) -> BaseModel:
    """Read the body of an operation that takes one.

    :raise Problem: 400 or 422.
    """
    assert route.body is not None, "the operation takes a body"
    try:
        value = read_json(raw, maps_at=1 if route.is_big else None)
    except BadJSON as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    if route.is_big:
        from tunnelcloud.web.models.document import read_document

        return read_document(value)
    try:
        return route.body.model_validate_json(raw)
    except ValidationError as error:
        raise problems.from_validation(error) from None
