"""Errors as the API's clients see them: RFC 9457's C{application/problem+json}.

Whatever goes wrong ends as a L{Problem}: a status, what happened, and which fields to mend.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from attrs import field, frozen
from pydantic import ValidationError

CONTENT_TYPE = "application/problem+json"


@frozen
class FieldError:
    """What is wrong with one field; C{field} is a path such as C{target_ports.0}."""

    field: str
    message: str


class Problem(Exception):
    """A request that can't be answered as asked.

    :ivar status: the HTTP status.
    :ivar detail: what happened and what to do, for a person.
    :ivar errors: the fields at fault.
    :ivar headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def encode(self) -> bytes:
        """Give the body of the answer."""
        members: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            members["errors"] = [
                {"field": error.field, "message": error.message} for error in self.errors
            ]
        return json.dumps(members, ensure_ascii=False).encode("utf-8", "backslashreplace")


@frozen
class _Wording:
    """pydantic's words for a fault, put as an instruction."""

    text: str
    context: tuple[str, ...] = field(default=())


_LIMIT = re.compile(r"Input should be (greater|less) than or equal to (-?[0-9]+)")
_WORDINGS = {
    "missing": _Wording("is required"),
    "extra_forbidden": _Wording("there is no such field"),
    "string_type": _Wording("must be a string"),
    "int_type": _Wording("must be a whole number"),
    "bool_type": _Wording("must be true or false"),
    "list_type": _Wording("must be a list"),
    "dict_type": _Wording("must be an object"),
    "model_type": _Wording("must be an object"),
    "model_attributes_type": _Wording("must be an object"),
}


def invalid(errors: Iterable[FieldError]) -> Problem:
    """Make the answer to a body or a query whose fields can't be used."""
    return _listing(HTTPStatus.UNPROCESSABLE_ENTITY, errors)


def _listing(status: HTTPStatus, errors: Iterable[FieldError]) -> Problem:
    found = tuple(errors)
    listed = "; ".join(f"{error.field}: {error.message}" for error in found[:3])
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return Problem(status, listed + more, found)


def invalid_field(name: str, message: str) -> Problem:
    """Make the answer to one field that can't be used."""
    return invalid([FieldError(name, message)])


def from_validation(error: ValidationError) -> Problem:
    """Make the answer to what pydantic refused."""
    faults = error.errors(include_url=False, include_input=False)
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Problem(HTTPStatus.BAD_REQUEST, "the body is not JSON")
    return invalid(
        FieldError(
            ".".join(str(part) for part in fault["loc"] if part != "[key]") or "body",
            _message(fault["type"], fault["msg"]),
        )
        for fault in faults
    )


def _message(kind: str, message: str) -> str:
    wording = _WORDINGS.get(kind)
    if wording is not None:
        return wording.text
    limit = _LIMIT.fullmatch(message)
    if limit is not None:
        return f"use {limit[2]} or {'more' if limit[1] == 'greater' else 'less'}"
    text = message.removeprefix("Value error, ")
    return text[:1].lower() + text[1:] if text.startswith("Input ") else text


def not_found(what: str = "there is nothing at this address") -> Problem:
    """Make the answer for what doesn't exist."""
    return Problem(HTTPStatus.NOT_FOUND, what)


def no_such_page(message: str) -> Problem:
    """Make the answer to a cursor that leads nowhere."""
    return _listing(HTTPStatus.NOT_FOUND, [FieldError("cursor", message)])


def forbidden(detail: str) -> Problem:
    """Make the answer to a caller whose role doesn't reach that far."""
    return Problem(HTTPStatus.FORBIDDEN, detail)


def conflict(name: str, message: str) -> Problem:
    """Make the answer to a change that what is there doesn't allow."""
    return conflicts([(name, message)])


def conflicts(faults: Iterable[tuple[str, str]]) -> Problem:
    """Make the answer to a change that what is there doesn't allow in several places."""
    return _listing(HTTPStatus.CONFLICT, (FieldError(name, text) for name, text in faults))


def unauthorized(detail: str) -> Problem:
    """Make the answer to a request without a good credential (RFC 6750, 3)."""
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})
