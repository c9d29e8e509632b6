"""What strangers send, made fit to be shown."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.escaping import escape, escape_whole


class EscapeTests(SynchronousTestCase):
    """Nothing that moves a cursor, ends a line or turns it around."""

    def test_shown(self) -> None:
        """Text of any language stays; what isn't text is spelt out."""
        for raw, shown in (
            ("böse Datenbank 数据库".encode(), "böse Datenbank 数据库"),
            (b"\x1b[2J\r\n\0", "\\x1b[2J\\r\\n\\x00"),
            ("a\u202eb\u2066c\u200d".encode(), "a\\u202eb\\u2066c\\u200d"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("\U000e0001", "\\U000e0001"),
            ("", ""),
        ):
            self.assertEqual(escape(raw), shown)

    def test_length(self) -> None:
        """Long texts are cut, and say so."""
        self.assertEqual(escape("x" * 256), "x" * 256)
        self.assertEqual(escape(b"x" * 65_536), "x" * 256 + "…")
        self.assertEqual(escape("ä".encode() * 300, 10), "ä" * 10 + "…")

    def test_length_of_what_is_spelt_out(self) -> None:
        """A text isn't longer for what it is made of; no escape is cut in two."""
        tags = "\U000e0001" * 320
        self.assertEqual(escape(tags.encode(), 320), "\\U000e0001" * 32 + "…")
        self.assertEqual(escape(tags, 25), "\\U000e0001" * 2 + "…")
        self.assertEqual(escape("ab\n", 4), "ab\\n")
        self.assertEqual(escape("ab\n", 3), "ab…")
        self.assertEqual(escape_whole(tags), "\\U000e0001" * 320)

    @given(st.binary(max_size=2000))
    def test_any_bytes(self, raw: bytes) -> None:
        """Whatever comes in, one printable line of bounded length comes out."""
        shown = escape(raw)
        self.assertTrue(shown.isprintable())
        self.assertLessEqual(len(shown), 256 + 1)

    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        """The same for text that was decoded elsewhere."""
        self.assertTrue(escape(text).isprintable())
