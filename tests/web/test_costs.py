"""What reads a stranger's bytes takes time in proportion to them, on the worst of inputs.

A parser that sees bytes before anybody has signed in has a row here.
"""

import contextlib
import json
from http import HTTPStatus

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from tests.costs import LINEAR, cpu_seconds, growth
from tunnelcloud.domain.addresses import read_networks
from tunnelcloud.domain.tokens import read_user_code
from tunnelcloud.link.joining import BadMessage, read_request
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.proxy_protocol import SIGNATURE, BadProxyHeader, ProxyHeader
from tunnelcloud.pod.client_hello import NoHello, offered_protocols
from tunnelcloud.web import problems
from tunnelcloud.web.api import read_tags
from tunnelcloud.web.authentication import read_bearer
from tunnelcloud.web.http_limits import LimitedSite
from tunnelcloud.web.models.device_logins import NewDeviceLogin
from tunnelcloud.web.models.document import read_document
from tunnelcloud.web.portal.pages.sign_in import local_path
from tunnelcloud.web.portal.resource import read_fields
from tunnelcloud.web.problems import FieldError, Problem
from tunnelcloud.web.proxies import client_host
from tunnelcloud.web.sizes import MAX_ANONYMOUS_BODY
from tunnelcloud.web.strict_json import BadJSON, read_json

REFUSALS = (BadJSON, BadMessage, BadProxyHeader, NoHello, Problem, ValueError)
JSON_INPUTS = {
    "escaped quotes": lambda n: b'"' + b'\\"' * (n // 2),
    "escaped quotes that end": lambda n: b'"' + b'\\"' * (n // 2) + b'"',
    "quotes": lambda n: b'"' * n,
    "backslashes": lambda n: b'"' + b"\\" * n,
    "braces in a string": lambda n: b'"' + b"[{" * (n // 2) + b'"',
    "open brackets": lambda n: b"[" * n,
    "lists": lambda n: b"[" + b"[]," * (n // 3) + b"1]",
    "nested lists": lambda n: b"[" + (b"[" * 31 + b"]" * 31 + b",") * (n // 63) + b"1]",
    "members": lambda n: b"{%s}" % b",".join(b'"%d":1' % number for number in range(n // 9)),
    "one key": lambda n: b"{" + b'"a":1,' * (n // 6) + b'"b":1}',
    "digits": lambda n: b"9" * n,
    "a fraction": lambda n: b"0." + b"9" * n,
    "long numbers": lambda n: b"[" + (b"9" * 4300 + b",") * (n // 4301) + b"1]",
    "line ends": lambda n: b"\n" * n,
    "characters": lambda n: b'"' + b"\\u1234" * (n // 6) + b'"',
    "no text": lambda n: b"a" * n + b"\xff",
}


def tried(read):
    """Give the same, but for its refusals."""

    def work(given):
        with contextlib.suppress(*REFUSALS):
            read(given)

    return work


class Later(Resource):
    isLeaf = True

    def render_GET(self, request):
        return NOT_DONE_YET


def received_meanwhile(data):
    """Have a web listener read bytes, each by itself, while a request is in work."""
    clock = Clock()
    channel = LimitedSite(Later(), clock).buildProtocol(None)
    channel.makeConnection(StringTransport())
    channel.dataReceived(request())
    for _ in data:
        channel.dataReceived(b"a")
        clock.advance(0)


class Nothing(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b""

    render_POST = render_GET


def received(data):
    """Have a web listener read what comes on one connection."""
    clock = Clock()
    site = LimitedSite(Nothing(), clock)
    channel = site.buildProtocol(None)
    channel.makeConnection(transport := StringTransport())
    for start in range(0, len(data), 65536):
        if not transport.disconnecting:
            channel.dataReceived(data[start : start + 65536])
            clock.advance(0)
    channel.setTimeout(None)


def request(*headers, method=b"GET", path=b"/"):
    return b"\r\n".join([method + b" " + path + b" HTTP/1.1", b"Host: x", *headers, b"", b""])


def byte_by_byte(data):
    header = ProxyHeader()
    for start in range(len(data)):
        if header.feed(data[start : start + 1]) is not None:
            return


class CostTests(SynchronousTestCase):
    def check(self, read, make, size, name):
        found = growth(tried(read), make, size)
        self.assertLess(found, LINEAR, name)

    def test_json(self):
        for name, make in JSON_INPUTS.items():
            self.check(read_json, make, 250_000, name)

    def test_json_that_nobody_has_vouched_for_is_over_at_once(self):
        for name, make in JSON_INPUTS.items():
            raw = make(MAX_ANONYMOUS_BODY)
            self.assertLess(cpu_seconds(lambda raw=raw: tried(read_json)(raw)), 0.02, name)
            work = tried(NewDeviceLogin.model_validate_json)
            self.assertLess(cpu_seconds(lambda raw=raw, work=work: work(raw)), 0.02, name)

    def test_forms_and_queries(self):
        for name, make in {
            "one field": lambda n: b"a=" + b"%41" * (n // 3),
            "no field": lambda n: b"&" * n,
            "equals signs": lambda n: b"=" * n,
            "half escapes": lambda n: b"a=" + b"%4" * (n // 2),
            "no text": lambda n: b"a=" + b"%ff" * (n // 3),
            "plus signs": lambda n: b"a=" + b"+" * n,
        }.items():
            self.check(read_fields, make, 100_000, name)

    def test_headers(self):
        networks = read_networks(["0.0.0.0/0", "::/0"])
        for name, read, make in [
            ("tags", read_tags, lambda n: 'W/"' * n),
            ("a bearer", read_bearer, lambda n: "Bearer " + " " * n + "!"),
            ("hops", lambda text: client_host("10.0.0.1", [text], networks),
             lambda n: ",".join(["10.0.0.1"] * (n // 9))),
            ("where to go", local_path, lambda n: "/" + "a:" * n),
            ("a code", read_user_code, lambda n: "-" * n),
            ("what is logged", lambda text: escape(text, 1 << 30), lambda n: "\x1b" * n),
        ]:  # fmt: skip
            self.check(read, make, 50_000, name)

    def test_requests(self):
        for name, make in {
            "header lines": lambda n: request(*[b"A: b"] * (n // 8)),
            "cookies": lambda n: request(*[b"Cookie: a=b; " * 8] * (n // 120)),
            "continued lines": lambda n: b"GET / HTTP/1.1\r\nA: b" + b"\r\n c" * (n // 4),
            "a path": lambda n: request(path=b"/%2f" * (n // 4)),
            "no request": lambda n: b"\r\n" * (n // 2),
            "chunks": lambda n: (
                request(b"Transfer-Encoding: chunked", method=b"POST") + b"1\r\na\r\n" * (n // 6)
            ),
            "pipelined": lambda n: request() * (n // 30),
        }.items():
            self.check(received, make, 200_000, name)

    def test_what_a_head_says(self):
        """Most of it nobody asks about: to read it costs little more than to take it."""

        def seconds(*headers, **what):
            head = request(*headers, **what)
            return cpu_seconds(lambda: [received(head) for _ in range(30)])

        plain = seconds(b"A: " + b"x" * 15_000)
        for name, made in {
            "cookies": seconds(b"Cookie: " + b"a=b;" * 3750),
            "no cookies": seconds(b"Cookie: " + b";" * 15_000),
            "headers without a cookie": seconds(*[b"Cookie: " + b";" * 100] * 130),
            "a query": seconds(path=b"/?" + b"a&" * 7500),
            "an escaped query": seconds(path=b"/?a=" + b"%41" * 5000),
            "hops": seconds(b"X-Forwarded-For: " + b"1," * 7500),
            "elements": seconds(b"Forwarded: " + b"for=1," * 2500),
            "pairs": seconds(b"Forwarded: " + b"for=1;" * 2500),
        }.items():
            self.assertLess(made, 6 * plain, name)

    def test_bytes_that_come_while_a_request_is_in_work(self):
        self.check(received_meanwhile, bytes, 3000, "bytes")

    def test_before_a_protocol_is_known(self):
        hello = b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"
        for name, read, make in [
            ("a PROXY header", byte_by_byte, lambda n: SIGNATURE + b"\x21\x11\x07\xff" + bytes(n)),
            ("a ClientHello", offered_protocols, lambda n: hello + bytes(n)),
            ("records", offered_protocols, lambda n: b"\x16\x03\x01\x00\x00" * (n // 5)),
            ("a request to join", read_request, lambda n: b'"' + b'\\"' * (n // 2)),
            ("lists to join", read_request, lambda n: b"[" * n),
        ]:
            self.check(read, make, 50_000, name)

    def test_whole_configurations(self):
        for name, make in {
            "users": lambda n: {"users": {f"u{number}": {} for number in range(n)}},
            "users with faults": lambda n: {"users": {f"u{number}": 1 for number in range(n)}},
            "members": lambda n: {"groups": {"a": {"members": ["alice"] * n}}},
            "no members": lambda n: {"groups": {"a": {"members": [1] * n}}},
            "ports": lambda n: {"tunnels": {"a": {"target_ports": list(range(1, n))}}},
            "other sections": lambda n: {f"s{number}": {} for number in range(n % 200)},
        }.items():
            self.check(read_document, make, 4000, name)

    def test_faults(self):
        def answer(count):
            return problems.invalid(
                FieldError(f"f{n}", "\u202e" * 2000) for n in range(count)
            ).encode()

        self.check(answer, lambda n: n, 5000, "faults")
        self.assertLess(len(answer(20_000)), problems.MAX_ANSWER + 1)
        found = json.loads(answer(20_000))
        self.assertEqual(len(found["errors"]) + found["further_errors"], 20_000)
        self.assertIn("and 19997 more", found["detail"])
        self.assertEqual(found["status"], HTTPStatus.UNPROCESSABLE_ENTITY)
