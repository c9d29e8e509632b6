"""Errors as the API's clients see them: RFC 9457's ``application/problem+json``.

Whatever goes wrong ends as a ``Problem``: a status, what happened, and which fields to mend.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus

from attrs import define, field, frozen
from pydantic import ValidationError

from tunnelcloud.web.validation_messages import wording

CONTENT_TYPE = "application/problem+json"
MAX_LISTED = 100
MAX_ANSWER = 64 * 1024
"""Bytes of an answer that says what is wrong."""
_LONGEST_TEXT = 500
_MOST_TOLD = 3
"""Faults that the text of an answer has; its list has more."""

Place = tuple[int | str, ...]
"""Where a field is: the keys of objects and the numbers in lists that lead to it."""


@frozen
class FieldError:
    """What is wrong with one field; ``field`` is a path such as ``target_ports.0``."""

    field: str
    message: str


class Problem(Exception):
    """A request that can't be answered as asked.

    :ivar status: the HTTP status.
    :ivar detail: what happened and what to do, for a person.
    :ivar errors: the fields at fault, ``MAX_LISTED`` at most.
    :ivar further: how many more there are.
    :ivar headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Iterable[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        further: int = 0,
    ) -> None:
        super().__init__(detail)
        found = tuple(errors)
        self.status = status
        self.detail = detail
        self.errors = found[:MAX_LISTED]
        self.further = further + len(found[MAX_LISTED:])
        self.headers = dict(headers or {})

    def encode(self) -> bytes:
        """Give the body of the answer, ``MAX_ANSWER`` bytes at most."""
        listed = len(self.errors)
        while True:
            body = self._encode(listed)
            if len(body) <= MAX_ANSWER:
                return body
            listed //= 2

    def _encode(self, listed: int) -> bytes:
        members: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": _cut(self.detail, 4 * _LONGEST_TEXT),
        }
        if self.errors:
            members["errors"] = [
                {"field": _cut(error.field), "message": _cut(error.message)}
                for error in self.errors[:listed]
            ]
        further = self.further + len(self.errors[listed:])
        if further:
            members["further_errors"] = further
        return json.dumps(members, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _cut(text: str, longest: int = _LONGEST_TEXT) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


def _meant(typed: str, allowed: Sequence[str]) -> str:
    """Say which field somebody may have meant, or which there are; nothing if none is known."""
    if near := get_close_matches(typed, allowed, n=1):
        return f": did you mean {near[0]}?"
    return f"; allowed here: {', '.join(allowed)}" if allowed else ""


def invalid(errors: Iterable[FieldError], further: int = 0) -> Problem:
    """Make the answer to a body or a query whose fields can't be used.

    :param further: how many more faults there are.
    """
    return _listing(HTTPStatus.UNPROCESSABLE_ENTITY, errors, further)


def _listing(status: HTTPStatus, errors: Iterable[FieldError], further: int = 0) -> Problem:
    found = tuple(errors)
    listed = "; ".join(
        f"{_cut(error.field)}: {_cut(error.message)}" for error in found[:_MOST_TOLD]
    )
    unsaid = len(found[_MOST_TOLD:]) + further
    more = f"; and {unsaid} more" if unsaid else ""
    return Problem(status, listed + more, found, further=further)


def invalid_field(name: str, message: str) -> Problem:
    """Make the answer to one field that can't be used."""
    return invalid([FieldError(name, message)])


@define
class Faults:
    """Gathers what pydantic refuses in several parts of a body: so many faults, then their number.

    :ivar is_empty: whether nothing was refused.
    """

    is_empty: bool = True
    _listed: list[FieldError] = field(factory=list)
    _further: int = 0
    _no_json: bool = False

    def add(
        self, error: ValidationError, allowed: Callable[[Place], Iterable[str]] | None = None
    ) -> None:
        """Note what one part was refused for.

        :param allowed: gives the fields that there are where one isn't.
        """
        self.is_empty = False
        if len(self._listed) >= MAX_LISTED:
            self._further += error.error_count()
            return
        for fault in error.errors(include_url=False, include_input=False):
            self._no_json |= fault["type"] == "json_invalid"
            place = ".".join(str(part) for part in fault["loc"] if part != "[key]")
            text = wording(fault)
            if allowed is not None and fault["type"] == "extra_forbidden" and self._is_told:
                text += _meant(str(fault["loc"][-1]), list(allowed(fault["loc"])))
            self._listed.append(FieldError(place or "body", text))

    @property
    def _is_told(self) -> bool:
        """Whether the next fault is one of the few that people read."""
        return len(self._listed) < _MOST_TOLD

    def problem(self) -> Problem:
        """Make the answer."""
        if self._no_json:
            return Problem(HTTPStatus.BAD_REQUEST, "the body is not JSON")
        return invalid(self._listed, self._further)


def from_validation(error: ValidationError) -> Problem:
    """Make the answer to what pydantic refused."""
    faults = Faults()
    faults.add(error)
    return faults.problem()


def not_found(what: str = "there is nothing at this address") -> Problem:
    """Make the answer for what doesn't exist."""
    return Problem(HTTPStatus.NOT_FOUND, what)


def no_such_page(message: str) -> Problem:
    """Make the answer to a cursor that isn't valid."""
    return _listing(HTTPStatus.NOT_FOUND, [FieldError("cursor", message)])


def forbidden(detail: str) -> Problem:
    """Make the answer to a caller whose role doesn't allow it."""
    return Problem(HTTPStatus.FORBIDDEN, detail)


def conflict(name: str, message: str) -> Problem:
    """Make the answer to a change that conflicts with the present state."""
    return conflicts([(name, message)])


def conflicts(faults: Iterable[tuple[str, str]]) -> Problem:
    """Make the answer to a change that conflicts with the present state in several places."""
    return _listing(HTTPStatus.CONFLICT, (FieldError(name, text) for name, text in faults))


def unauthorized(detail: str) -> Problem:
    """Make the answer to a request without a good credential (RFC 6750, 3)."""
    return Problem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})
