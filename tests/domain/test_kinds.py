"""The table of kinds is whole: every setting says what each of its readers needs."""

from typing import Annotated

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.cli.object_options import noun_of
from tunnelcloud.domain.entities import ID_PREFIXES
from tunnelcloud.domain.kinds import FieldType, Setting, kind_of
from tunnelcloud.domain.objects import KINDS
from tunnelcloud.store import column_types
from tunnelcloud.store.schema.setting_columns import columns_of
from tunnelcloud.web.models.object_models import change_model, entry_model, new_model, shown_model
from tunnelcloud.web.portal.forms import FieldKind, form_fields


@attrs.frozen
class Shelf:
    """A kind that only this test has."""

    id: str
    name: Annotated[str, Setting(FieldType.NAME, "Name")]
    site_id: Annotated[str, Setting(FieldType.REFERENCE, "Site", reference="site", fixed=True)]
    created_at: str
    height: Annotated[
        int | None,
        Setting(FieldType.NUMBER, "Height", heading="height", minimum=1, maximum=9),
    ] = None
    full: Annotated[bool, Setting(FieldType.FLAG, "Full", option="--full/--empty")] = False


SHELF = kind_of("shelf", "shelves", Shelf, ("name", "height"))


class KindTests(SynchronousTestCase):
    def test_one_attribute_is_enough_everywhere(self):
        self.patch(column_types, "ID_PREFIXES", {**ID_PREFIXES, "shelf": "she"})
        self.assertIn("height", {column.name for column in columns_of(SHELF)})
        for make in (new_model, change_model, shown_model, entry_model):
            model = make(SHELF, "Made", "A model.")
            self.assertEqual(model.model_fields["height"].description, "Height")
            self.assertEqual("site_id" in model.model_fields, make in (new_model, shown_model))
        [height] = [one for one in form_fields(SHELF) if one.name == "height"]
        self.assertIs(height.kind, FieldKind.NUMBER)
        noun = noun_of(SHELF, "Shelves.")
        self.assertIn("--height", [one.flag for one in noun.options])
        self.assertIn("height", [one.heading for one in noun.columns])

    def test_the_order_in_which_people_are_asked(self):
        self.assertEqual([one.name for one in SHELF.form], ["name", "height", "site_id", "full"])

    def test_a_new_object_is_completed(self):
        values = SHELF.with_defaults({"name": "top", "site_id": "sit_1"})
        self.assertEqual(values, {"name": "top", "site_id": "sit_1", "height": None, "full": False})
        self.assertRaises(TypeError, SHELF.with_defaults, {"name": "top"})
        self.assertRaises(
            TypeError, SHELF.with_defaults, {"name": "top", "site_id": "s", "width": 1}
        )

    def test_bounds_reach_the_api(self):
        model = new_model(SHELF, "NewShelf", "Makes a shelf.")
        for height, good in ((1, True), (9, True), (10, False), ("2", False), (None, True)):
            body = {"name": "top", "site_id": "sit_1", "height": height}
            if good:
                model.model_validate(body)
            else:
                self.assertRaises(ValueError, model.model_validate, body)

    def test_every_setting_is_whole(self):
        """Labels for forms, options with words, references that exist."""
        for kind in KINDS.values():
            for one in kind.fields:
                setting = one.setting
                with self.subTest(kind=kind.noun, field=one.name):
                    self.assertTrue(setting.label)
                    self.assertIn(setting.reference or "site", KINDS)
                    self.assertEqual(setting.type is FieldType.CHOICE, bool(setting.choices))

    def test_options_are_each_once(self):
        for kind in KINDS.values():
            options = [one.option for one in kind.fields if one.option]
            self.assertEqual(len(options), len(set(options)), kind.noun)
