"""What holds for the structure of every page: ids are there once, and labels have their field."""

from html.parser import HTMLParser

_UNLABELLED = ("hidden", "submit", "checkbox", "radio")


class _Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.ids, self.named, self.wanted, self.fields = [], set(), [], []
        self._labels = 0
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "label":
            self._labels += 1
            if "for" in given:
                self.wanted.append(given["for"])
        for name in ("aria-labelledby", "aria-describedby"):
            self.wanted += (given.get(name) or "").split()
        if tag in ("input", "select", "textarea") and given.get("type") not in _UNLABELLED:
            labelled = self._labels or given.get("aria-label") or given.get("aria-labelledby")
            self.fields.append((given.get("id"), given.get("name"), bool(labelled)))

    def handle_endtag(self, tag):
        if tag == "label":
            self._labels -= 1


def faults_of(page):
    """Say what is wrong with a page: an id twice, a label without a field, a field without one."""
    found = _Page(page)
    twice = sorted({one for one in found.ids if found.ids.count(one) > 1})
    lost = sorted(set(found.wanted) - set(found.ids))
    unnamed = [name for one, name, labelled in found.fields
               if not labelled and one not in found.wanted]  # fmt: skip
    return [
        *(f"the id {one} is there twice" for one in twice),
        *(f"nothing has the id {one}, which a label names" for one in lost),
        *(f"the field {name} has no label" for name in unnamed),
    ]
