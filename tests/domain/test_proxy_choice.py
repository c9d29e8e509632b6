from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.proxy_choice import BadProxy, Proxy, proxy_from, read_proxy
from tunnelcloud.domain.proxy_dialogue import MAX_ANSWER, ProxyRefused, dialogue_with

WITH_NAME = Proxy("http", "proxy.corp", 3128, "ann", "p@ss")


class ReadingTests(SynchronousTestCase):
    def test_kinds(self):
        for text, expected in [
            ("http://ann:p%40ss@proxy.corp:3128", WITH_NAME),
            ("proxy:8080", Proxy("http", "proxy", 8080)),
            ("https://Proxy.Corp", Proxy("https", "proxy.corp", 443)),
            ("socks5h://[::1]:1081/", Proxy("socks5h", "::1", 1081)),
            ("socks5://proxy", Proxy("socks5h", "proxy", 1080)),
        ]:
            self.assertEqual(read_proxy(text), expected)

    def test_what_can_not_be_used(self):
        for text in [
            "socks4://proxy",
            "ftp://proxy",
            "http://",
            "http://a:99999",
            "http://a/b",
            "",
        ]:
            error = self.assertRaises(BadProxy, read_proxy, text)
            self.assertIn("socks5h://proxy:1080", str(error))
        error = self.assertRaises(BadProxy, read_proxy, "http://ann:secret@a b:1")
        self.assertNotIn("secret", str(error))

    def test_a_password_is_not_shown(self):
        self.assertNotIn("p@ss", f"{WITH_NAME} {WITH_NAME!r}")
        self.assertEqual(read_proxy(WITH_NAME.url), WITH_NAME)


class EnvironmentTests(SynchronousTestCase):
    def choose(self, host, port=443, **environment):
        found = proxy_from(environment, host, port)
        return found and found.host

    def test_which_variable_counts(self):
        self.assertIsNone(self.choose("pod.example"))
        self.assertEqual(self.choose("pod.example", ALL_PROXY="a", HTTPS_PROXY="h"), "h")
        self.assertEqual(self.choose("pod.example", all_proxy="socks5h://a"), "a")
        self.assertIsNone(self.choose("pod.example", HTTP_PROXY="h", HTTPS_PROXY=" "))
        error = self.assertRaises(BadProxy, self.choose, "a", ALL_PROXY="socks4://a")
        self.assertIn("ALL_PROXY", str(error))

    def test_exceptions(self):
        for entries, host, excepted in [
            ("*", "pod.example", True),
            ("example", "pod.example", True),
            (".example", "pod.example", True),
            ("*.example", "pod.example", True),
            ("ample", "pod.example", False),
            ("pod.example:443", "pod.example", True),
            ("pod.example:8443", "pod.example", False),
            ("a, 10.0.0.0/8", "10.1.2.3", True),
            ("[2001:db8::1]", "2001:db8::1", True),
            ("[2001:db8::1]:443", "2001:db8::1", True),
            ("2001:db8::/32", "2001:db8::1", True),
            ("[::1", "2001:db8::1", False),
        ]:
            found = self.choose(host, HTTPS_PROXY="h", NO_PROXY=entries)
            self.assertEqual(found, None if excepted else "h", entries)

    def test_this_machine_is_reached_directly(self):
        for host in ("localhost", "127.0.0.1", "::1", "[::1]"):
            self.assertIsNone(self.choose(host, HTTPS_PROXY="h"))


class DialogueCase(SynchronousTestCase):
    def talk(self, proxy, *answers, host="pod.example", port=443):
        """Hold a talk, each answer in single bytes; give what was said, and the dialogue."""
        dialogue = dialogue_with(proxy, host, port)
        said = [dialogue.begin()]
        for answer in answers:
            bits = [dialogue.feed(answer[i : i + 1]) for i in range(len(answer))]
            said += [b"".join(bits)]
        return said, dialogue

    def refusal(self, proxy, *answers, **destination):
        return str(self.assertRaises(ProxyRefused, self.talk, proxy, *answers, **destination))


class ConnectTests(DialogueCase):
    def test_the_connection_is_carried(self):
        said, dialogue = self.talk(WITH_NAME, b"HTTP/1.1 200 Connection established\r\n\r\n")
        self.assertEqual(
            said[0],
            b"CONNECT pod.example:443 HTTP/1.1\r\nHost: pod.example:443\r\n"
            b"Proxy-Authorization: Basic YW5uOnBAc3M=\r\n\r\n",
        )
        self.assertTrue(dialogue.open)
        dialogue = dialogue_with(Proxy("http", "p", 1), "::1", 443)
        self.assertIn(b"CONNECT [::1]:443 ", dialogue.begin())
        dialogue.feed(b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\nSSH-2.0")
        self.assertEqual((dialogue.open, dialogue.rest), (True, b"SSH-2.0"))

    def test_each_refusal_says_what_to_do(self):
        plain = Proxy("http", "p", 3128)
        basic = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n"
        ntlm = (
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nproxy-authenticate: Kerberos\r\n\r\n"
        )
        for proxy, answer, port, words in [
            (plain, basic, 443, "wants a user name and a password (407)"),
            (WITH_NAME, basic, 443, "refuses the user name or the password"),
            (WITH_NAME, ntlm, 443, "wants NTLM or Kerberos"),
            (
                plain,
                b"HTTP/1.1 403 F\r\n\r\n",
                8443,
                "CONNECT to port 8443 is not allowed: use 443",
            ),
            (plain, b"HTTP/1.1 403 F\r\n\r\n", 443, "ask for an exception"),
            (plain, b"HTTP/1.1 502 \x1b[2J\r\n\r\n", 443, "answers 502 ?[2J"),
            (plain, b"SSH-2.0-x\r\n", 443, "doesn't speak HTTP"),
            (plain, b"HTTP/1.1 2OO\r\n\r\n", 443, "doesn't speak HTTP"),
            (plain, b"HTTP/1.1 200 " + b"a" * MAX_ANSWER, 443, "without an end"),
        ]:
            text = self.refusal(proxy, answer, port=port)
            self.assertIn(words, text)
            self.assertIn(f"the proxy {proxy}", text)
            self.assertNotIn("p@ss", text)


class SocksTests(DialogueCase):
    plain = Proxy("socks5h", "p", 1080)
    named = Proxy("socks5h", "p", 1080, "ann", "pw")

    def test_the_connection_is_carried(self):
        ok = b"\x05\x00\x00\x01\x01\x02\x03\x04\x00\x50"
        said, dialogue = self.talk(self.plain, b"\x05\x00", ok)
        ask = b"\x05\x01\x00\x03\x0bpod.example\x01\xbb"
        self.assertEqual(said, [b"\x05\x01\x00", ask, b""])
        self.assertTrue(dialogue.open)
        said, dialogue = self.talk(self.named, b"\x05\x02", b"\x01\x00", ok)
        self.assertEqual(said, [b"\x05\x02\x00\x02", b"\x01\x03ann\x02pw", ask, b""])
        self.assertTrue(dialogue.open)

    def test_addresses_are_asked_for_as_addresses(self):
        for host, packed in [
            ("10.0.0.1", b"\x01\x0a\x00\x00\x01"),
            ("::1", b"\x04" + bytes(15) + b"\x01"),
        ]:
            said, _ = self.talk(self.plain, b"\x05\x00", host=host, port=1)
            self.assertEqual(said[1], b"\x05\x01\x00" + packed + b"\x00\x01")

    def test_what_follows_the_answer_is_the_other_ends(self):
        dialogue = dialogue_with(self.plain, "a", 1)
        dialogue.feed(b"\x05\x00")
        dialogue.feed(b"\x05\x00\x00\x03\x02xy\x00\x50SSH-")
        self.assertEqual((dialogue.open, dialogue.rest), (True, b"SSH-"))

    def test_each_refusal_says_what_to_do(self):
        for proxy, answers, words in [
            (self.plain, [b"\x05\xff"], "wants a user name"),
            (self.named, [b"\x05\xff"], "takes no user name"),
            (self.named, [b"\x05\x02", b"\x01\x01"], "refuses the user name"),
            (self.plain, [b"HT"], "doesn't speak SOCKS"),
            (self.plain, [b"\x05\x00", b"\x05\x02\x00\x01"], "doesn't allow it"),
            (self.plain, [b"\x05\x00", b"\x05\x63\x00\x01"], "answers 99"),
        ]:
            self.assertIn(words, self.refusal(proxy, *answers))
