"""The API as the commands use it: send, page, find by name, and one clear line when it fails.

It knows HTTP and the API's conventions (bearer, cursors, problem+json, ids), and no command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tunnelcloud.cli.answer_limits import MOST_BYTES, Patience, TooLong, read_whole
from tunnelcloud.cli.output import one_line
from tunnelcloud.domain.entities import ID, ID_PREFIXES
from tunnelcloud.domain.name_comparison import folded
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.domain.proxy_choice import BadProxy, Proxy, proxy_from
from tunnelcloud.net.foreign_json import read_foreign_json

if TYPE_CHECKING:
    import httpx

Object = dict[str, Any]
"""One object of the API, as JSON has it."""

COLLECTIONS = {kind.noun.replace("_", "-"): kind.plural for kind in KINDS.values()}
"""The paths of collections of objects with a name."""

OPTIONS = {
    **{one.name: one.option for kind in KINDS.values() for one in kind.fields if one.option},
    "name": "NAME",
    "tunnel_id": "TUNNEL",
    "user_id": "USER",
    "group_id": "GROUP",
    "policy_id": "--policy",
    "methods": "--method",
    "expires_at": "--expires",
    "source_ip": "--address",
    "session_seconds": "--session-age",
    "q": "--search",
}
"""Fields of the API whose option has another name; in capitals, an argument."""

_SAME = frozenset({
    "sessions", "event", "since", "limit", "port", "method", "at", "public_key",
})  # fmt: skip
PAGE = 200
TOKEN_OF_NOBODY = "this API token belongs to no user"  # noqa: S105 - a sentence
"""The beginning of the API's refusal if an operation needs a user."""

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60
_LONG = frozenset({"export"})
"""Answers without a bound: a configuration is as long as it is.  So are ``lines``, of the audit."""
_NOT_KNOWN = "; whether it was done is not known: look before you try again"
_NOTHING_TYPED: Mapping[str, str] = MappingProxyType({})


class Failed(Exception):
    """A command that can't do what it was asked; the message is one line that says what to do."""


class Refused(Failed):
    """The API refused, with a reason.

    :ivar status: the HTTP status of its answer; 0 where that doesn't matter any more.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Unreachable(Failed):
    """No answer came: the next try may succeed."""


class Api:
    """A client of one pod's API.

    :param url: where the pod's web listener is, without ``/api/v1``.
    :param token: the bearer token; None for what anybody may ask.
    :param source: where the token is from, for a person: a variable, an option or a command.
    """

    def __init__(self, url: str, token: str | None, source: str = "") -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._source = source
        self._http: httpx.Client | None = None
        self._patience = Patience()
        self._names: dict[str, str] = {}
        self._typed: dict[str, str] = {}

    def close(self) -> None:
        """Hang up."""
        if self._http is not None:
            self._http.close()

    def get(self, path: str, **query: object) -> Object:
        """GET ``path`` below ``/api/v1``; query values that are None are left out."""
        return self.send("GET", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        seconds: float = _ANSWER_SECONDS,
    ) -> Object:
        """Send a request and give the object of the answer, an empty one if there is none.

        :param seconds: how long to wait for the answer; one of ``_LONG`` may take any time, as long
            as it goes on.
        :raise Failed: when the API refuses, or what answers isn't the API.
        :raise Unreachable: when nothing answers.
        """
        is_long = path in _LONG
        answer, content = self._asked(
            method,
            f"/api/v1/{path}",
            None if is_long else seconds,
            changes=method != "GET",
            params=_given(query or {}),
            json=dict(body) if body is not None else None,
            timeout=_patience(seconds),
        )
        if answer.status_code in (502, 504) and method != "GET":
            raise Unreachable(f"{self._url} can't serve now ({answer.status_code}){_NOT_KNOWN}")
        return self._read(answer, content, body or {})

    def _asked(
        self, method: str, path: str, seconds: float | None, *, changes: bool = False, **more: Any
    ) -> tuple[httpx.Response, bytes]:
        """Send a request, and read all of its answer.

        :param seconds: how long that may take; None for any time, and any number of bytes.
        """
        most = None if seconds is None else MOST_BYTES
        allowed = None if seconds is None else seconds + _CONNECT_SECONDS
        where, traced = f"{self._url}{path}", {"trace": self._patience.note}
        with (
            self._failures(changes),
            self._patience.within(allowed),
            self._client().stream(method, where, extensions=traced, **more) as answer,
        ):
            content = read_whole(answer, most)
            self._check_time(answer)
        return answer, content

    def _check_time(self, answer: httpx.Response) -> None:
        """Check that an answer without a length wasn't cut short, which looks like its end."""
        import httpx

        if self._patience.is_over:
            raise httpx.ReadTimeout("it took too long", request=answer.request)

    def lines(self, path: str, **query: object) -> Iterator[str]:
        """GET an answer that is lines, and give each as it comes.

        :raise Failed: as ``send``.
        """
        where = f"{self._url}/api/v1/{path}"
        with (
            self._failures(),
            self._client().stream("GET", where, params=_given(query)) as answer,
        ):
            if not answer.is_success:
                self._read(answer, read_whole(answer, MOST_BYTES))
            yield from answer.iter_lines()

    @contextmanager
    def _failures(self, changes: bool = False) -> Iterator[None]:
        """Say clearly why no answer came.

        :param changes: whether the request changes something, once the pod has it.
        """
        import httpx

        try:
            yield
        except TooLong:
            raise Failed(self._stranger_text(f"more than {MOST_BYTES >> 20} MiB")) from None
        except (httpx.ConnectTimeout, httpx.PoolTimeout):
            raise Unreachable(self._silence_text()) from None
        except httpx.TimeoutException:
            text = self._silence_text()
            raise Unreachable(f"{text}{_NOT_KNOWN}" if changes else text) from None
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            is_over = self._patience.is_over
            text = self._silence_text() if is_over else self._connection_text(error)
            raise Unreachable(f"{text}{_NOT_KNOWN}" if changes else text) from None
        except UnicodeError:
            raise Failed("the command line holds bytes that are not UTF-8 text") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unreachable(self._connection_text(error)) from None

    def text(self, path: str) -> str:
        """GET a page of plain text that anybody may read, such as ``/known_hosts``.

        :raise Failed: as ``send``.
        """
        answer, content = self._asked("GET", path, _ANSWER_SECONDS)
        if not answer.is_success:
            raise Failed(self._stranger_text(f"{answer.status_code} for {path}"))
        return content.decode("utf-8", "replace")

    def pages(
        self, path: str, limit: int | None = None, **query: object
    ) -> tuple[list[Object], str | None]:
        """Read a list, page by page, up to ``limit`` items.

        :return: the items, and the cursor of what follows them.
        """
        items: list[Object] = []
        cursor: str | None = None
        while True:
            wanted = PAGE if limit is None else min(PAGE, limit - len(items))
            page = self.get(path, **query, limit=wanted, cursor=cursor)
            found = page.get("items")
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise Failed(self._stranger_text("without a list of items"))
            items += found
            following = page.get("next_cursor")
            if following is None or following == cursor or len(items) == limit:
                return items, following
            cursor = following

    def each(self, path: str) -> Iterator[Object]:
        """Give all items of a list."""
        yield from self.pages(path)[0]

    def resolve(self, noun: str, name: str) -> Object:
        """Find the object of a kind that a person means by a name, an email or an id.

        :raise Failed: when there is none.
        """
        if is_id(noun, name):
            return self.get(f"{COLLECTIONS[noun]}/{name}")
        wanted = folded(name)
        for item in self.pages(COLLECTIONS[noun], limit=PAGE, name=name)[0]:
            if wanted in (folded(str(item.get(key) or "")) for key in ("name", "email")):
                return item
        raise Failed(f"there is no {noun} {name!r}; `tunnelcloud {noun} list` shows what there is")

    def resolve_id(self, noun: str, name: str) -> str:
        """Find the id of an object by its name, its email or the id itself."""
        if is_id(noun, name):
            return name
        found = str(self.resolve(noun, name)["id"])
        self._typed[found] = name
        return found

    def delete_by_id(self, noun: str, path: str, object_id: str) -> None:
        """Delete an object of a kind that has no names.

        :raise Failed: when the text can't be such an id.
        """
        if not is_id(noun, object_id):
            shows = f"`tunnelcloud {noun.replace('_', '-')} list` shows them"
            raise Failed(f"{object_id!r} is not an id of this kind; {shows}")
        self.send("DELETE", f"{path}/{object_id}")

    def name_of(self, noun: str, object_id: str) -> str:
        """Give the name behind an id for a person to read, or the id if it is gone."""
        if object_id not in self._names:
            try:
                found = self.get(f"{COLLECTIONS[noun]}/{object_id}")
            except Unreachable:
                raise
            except Failed:
                found = {}
            self._names[object_id] = str(found.get("name", object_id))
        return self._names[object_id]

    def _client(self) -> httpx.Client:
        # httpx costs a tenth of a second to import, which --help and completion need not pay.
        import httpx

        if self._http is None:
            bearer = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
            proxy = self._proxy()
            try:
                self._http = httpx.Client(
                    headers={"Accept": "application/json", **bearer},
                    timeout=_patience(_ANSWER_SECONDS),
                    verify=httpx.create_ssl_context(),
                    proxy=None if proxy is None else proxy.url,
                    trust_env=False,  # it fails at entries of NO_PROXY that others take
                )
            except OSError as error:
                name = "SSL_CERT_FILE" if os.environ.get("SSL_CERT_FILE") else "SSL_CERT_DIR"
                raise Failed(f"{name}: {os.environ.get(name)} can't be used: {error}") from None
            except ImportError:
                raise Failed(
                    f"{proxy} is a SOCKS proxy, for which the command line needs the Python package"
                    " socksio: install it, or set HTTPS_PROXY to an HTTP proxy"
                ) from None
        return self._http

    def _proxy(self) -> Proxy | None:
        """Find the proxy on the way to the pod.

        :raise Failed: a variable names one that can't be used.
        """
        parts = urlsplit(self._url)
        plain = parts.scheme == "http"
        port = parts.port or (80 if plain else 443)
        try:
            return proxy_from(os.environ, parts.hostname or "", port, plain=plain)
        except BadProxy as error:
            raise Failed(str(error)) from None

    def _read(
        self, answer: httpx.Response, content: bytes, body: Mapping[str, object] | None = None
    ) -> Object:
        if answer.is_redirect:
            target = one_line(answer.headers.get("location", "elsewhere"))
            raise Failed(f"{self._url} redirects to {target}; set the URL to where the pod answers")
        if answer.status_code == 204:
            return {}
        try:
            found = read_foreign_json(content)
        except ValueError:
            found = None
        if answer.status_code in (502, 503, 504):
            detail = _refusal(found if isinstance(found, dict) else {})
            raise Unreachable(f"{self._url} can't serve now ({answer.status_code}): {detail}")
        if not isinstance(found, dict):
            raise Failed(self._stranger_text(f"{answer.status_code} without JSON"))
        if answer.is_success:
            return found
        told = _refusal(found, self._as_typed(body or {}))
        advice = self._token_advice(answer.status_code, told)
        raise Refused(f"{told}{advice}", answer.status_code)

    def _token_advice(self, status: int, told: str) -> str:
        """Say where a refused token is from, and which token would work."""
        if status == 401:
            where = f"; the token is from {self._source}" if self._source else ""
            return (
                f" (check TUNNELCLOUD_API_TOKEN or --api-token-file, or `tunnelcloud login`{where})"
            )
        if status == 403 and TOKEN_OF_NOBODY in told and self._source:
            return (
                f" (the token is from {self._source}, which goes before `tunnelcloud login`:"
                " leave it out and sign in, or make one with"
                " `tunnelcloud api-token create --title TEXT --role user --user NAME`)"
            )
        return ""

    def _as_typed(self, body: Mapping[str, object]) -> dict[str, str]:
        """Give the texts of a request as they were typed: names, where it has ids."""
        return {
            field: self._typed.get(value, value)
            for field, value in body.items()
            if isinstance(value, str)
        }

    def _silence_text(self) -> str:
        checks = "check that the pod is up and not overloaded"
        if self._url.startswith("https:"):
            checks += ", and that it speaks https there and not only http"
        return f"{self._url} did not answer in time; {checks}"

    def _connection_text(self, error: Exception) -> str:
        reason = one_line(str(error)).rstrip(".") or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return (
                f"{self._url}: its certificate is not trusted ({reason});"
                " set SSL_CERT_FILE to the file of the CA that signed it"
            )
        return (
            f"can't reach {self._url}: {reason};"
            " check that the pod is up and that TUNNELCLOUD_URL (or --url) names its web address"
        )

    def _stranger_text(self, answered: str) -> str:
        return (
            f"{self._url} answered {answered}, so it is not TunnelCloud's API;"
            " check TUNNELCLOUD_URL (or --url)"
        )


def _patience(seconds: float) -> httpx.Timeout:
    import httpx

    return httpx.Timeout(seconds, connect=_CONNECT_SECONDS)


def is_id(noun: str, text: str) -> bool:
    """Tell whether a text is the id of a ``noun``, and not a name."""
    match = ID.fullmatch(text)
    return match is not None and match[1] == ID_PREFIXES[noun.replace("-", "_")]


def _refusal(problem: Object, typed: Mapping[str, str] = _NOTHING_TYPED) -> str:
    errors = problem.get("errors")
    told = [
        one_line(f"{_option(str(error.get('field')), typed)}: {error.get('message')}")
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, dict)
    ]
    if told:
        return "; ".join(told)
    return one_line(str(problem.get("detail") or problem.get("title") or "no reason was given"))


def _option(field: str, typed: Mapping[str, str] = _NOTHING_TYPED) -> str:
    """Return the option that fills a field; a path into a document stays as it is."""
    name, dot, rest = field.partition(".")
    if dot and not rest.isdigit():
        return field
    option = OPTIONS.get(name, f"--{name.replace('_', '-')}" if name in _SAME else field)
    if not option.isupper():
        return option
    return f"{option.lower()} {typed[name]!r}" if name in typed else option.lower()


def _given(query: Mapping[str, object]) -> dict[str, str]:
    return {key: _text(value) for key, value in query.items() if value is not None}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
