"""What of a request's head is refused, beside all that Twisted refuses."""

import re

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from tunnelcloud.web.http_limits import LimitedSite


class Hello(Resource):
    isLeaf = True

    def render_GET(self, request):
        return b"hello"

    render_POST = render_GET


class Asking(SynchronousTestCase):
    def ask(self, *lines, first=b"GET / HTTP/1.1", body=b""):
        """Send a request; give the answer and whether the connection is closed behind it."""
        channel = LimitedSite(Hello(), Clock()).buildProtocol(None)
        transport = StringTransport()
        channel.makeConnection(transport)
        channel.dataReceived(b"\r\n".join([first, *lines, b"", body]))
        channel.setTimeout(None)
        return transport.value(), transport.disconnecting

    def refused(self, why, *lines, closed=False, **request):
        answer, is_closed = self.ask(*lines, **request)
        self.assertRegex(answer, rb"\AHTTP/1\.[01] 400 ")
        self.assertIn(why, answer)
        self.assertEqual(is_closed, closed)
        self.assertEqual(len(re.findall(rb"HTTP/1\.[01] \d", answer)), 1)

    def taken(self, *lines, **request):
        answer, _ = self.ask(*lines, **request)
        self.assertTrue(answer.endswith(b"hello"), answer)


class TextTests(Asking):
    def test_a_header_that_is_no_text(self):
        self.refused(b"the header User-Agent is not UTF-8", b"Host: x", b"User-Agent: \xff")
        answer, _ = self.ask(b"Host: x", b"Cookie: \xe9", first=b"HEAD / HTTP/1.1")
        self.assertTrue(answer.endswith(b"\r\n\r\n"))

    def test_a_header_of_another_language(self):
        self.taken(b"Host: x", "User-Agent: Zo\u00eb \U0001f600".encode())


class PathTests(Asking):
    """To take a path apart takes ten milliseconds, if it has thousands of parts or escapes."""

    def test_many_parts(self):
        self.refused(b"more than 32 parts", b"Host: x", first=b"GET " + b"/" * 33 + b" HTTP/1.1")
        self.taken(b"Host: x", first=b"GET " + b"/" * 32 + b" HTTP/1.1")

    def test_a_long_one(self):
        long = b"/" + b"%ff" * 341
        self.refused(b"longer than 1024 bytes", b"Host: x", first=b"GET " + long + b"0 HTTP/1.1")
        self.taken(b"Host: x", first=b"GET " + long + b"?" + b"x" * 2000 + b" HTTP/1.1")

    def test_one_that_a_proxy_reads_otherwise(self):
        """Twisted takes the first character off, and a proxy doesn't."""
        for target in (b"\\healthz", b"xhealthz", b"*", b"http://x/healthz", b"?x=/"):
            self.refused(b"begins with a /", b"Host: x", first=b"GET " + target + b" HTTP/1.1")


class HostTests(Asking):
    def test_without_a_host(self):
        """RFC 9112, 3.2: every request of HTTP/1.1 names one."""
        self.refused(b"no header Host")
        self.taken(first=b"GET / HTTP/1.0")

    def test_two_hosts(self):
        self.refused(b"more than one header Host", b"Host: a", b"Host: a")

    def test_what_is_no_host(self):
        for value in (
            b"a b",
            b"a/b",
            b"me@pod",
            b"a:b",
            b"a\\b",
            b"[::1",
            b"a?b",
            b"a,b:1:2",
            b"\xc3\xab",
        ):
            self.refused(b"Host is no host name", b"Host: " + value)

    def test_hosts(self):
        for value in (b"", b"pod", b"pod_1.example.com:8080", b"127.0.0.1:80", b"[::1]:80", b"x:"):
            self.taken(b"Host: " + value)


class LengthTests(Asking):
    """Nobody may take the body of a request for the next request (RFC 9112, 6.1 and 6.3)."""

    POST = b"POST / HTTP/1.1"
    NEXT = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

    def test_a_coding_that_tells_no_length(self):
        for length in ((), (b"Content-Length: 2",)):
            self.refused(
                b"the only Transfer-Encoding that is taken is chunked",
                b"Host: x",
                b"Transfer-Encoding: identity",
                *length,
                first=self.POST,
                body=(b"{}" if length else b"") + self.NEXT,
                closed=True,
            )

    def test_two_codings(self):
        self.refused(
            b"the only Transfer-Encoding",
            b"Host: x",
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: chunked",
            first=self.POST,
            body=b"0\r\n\r\n" + self.NEXT,
            closed=True,
        )

    def test_a_coding_of_http_1_0(self):
        self.refused(
            b"HTTP/1.0 has no Transfer-Encoding",
            b"Transfer-Encoding: chunked",
            first=b"POST / HTTP/1.0",
            body=b"0\r\n\r\n",
            closed=True,
        )

    def test_chunks(self):
        self.taken(b"Host: x", b"Transfer-Encoding: Chunked", first=self.POST, body=b"0\r\n\r\n")
