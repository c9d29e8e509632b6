"""Tables become cards on phones: each cell says there what it is, as its column's heading does."""

import re
from importlib.resources import files

from twisted.trial.unittest import SynchronousTestCase

CELL = re.compile(r"<td(?=[ >])[^>]*>")
TITLED = ('class="act"', "data-label=", "colspan=")
OTHERWISE = {"tool.html"}
"""Whose table has a shape of its own on phones."""


class CardTests(SynchronousTestCase):
    def test_each_cell_has_its_label(self):
        found = [
            (template.name, cell)
            for template in files("tunnelcloud.web").joinpath("templates").iterdir()
            if template.name not in OTHERWISE
            for cell in CELL.findall(template.read_text())
            if not any(mark in cell for mark in TITLED)
        ]
        self.assertEqual(found, [])

    def test_no_table_scrolls_sideways(self):
        static = files("tunnelcloud.web").joinpath("static")
        styles = "".join(one.read_text() for one in static.iterdir() if one.name.endswith(".css"))
        self.assertNotIn("overflow-x: auto", styles)
