"""The words in which the API refuses, for each field of each body and of each query."""

import json

from pydantic import ValidationError

from tests.web.support import ApiTestCase
from tests.web.words import BAD, words_of_the_code
from tunnelcloud.web.models.document import WholeDocument, read_document
from tunnelcloud.web.problems import Problem, from_validation

SENT = (*BAD, None, True, -1, 0, 1.5, 10**400, [], [None], ["", ""], [7], {}, {"": ""}, {"odd": 7})
_LISTS = (["x"] * 300, ["A b"], ["10.0.0.1/8"], [{}], {f"a{number}": "b" for number in range(300)})


class WordsTests(ApiTestCase):
    def hold(self, model, sent, names, validate):
        try:
            validate()
        except ValidationError as error:
            problem = from_validation(error)
        except Problem as found:
            problem = found
        else:
            return 0
        typed = (
            [sent]
            if isinstance(sent, str)
            else [one for one in sent or () if one != ""]
            if isinstance(sent, list | dict)
            else []
        )
        typed = [one for one in typed if isinstance(one, str)]
        for error in problem.errors:
            found = words_of_the_code(error.message, *typed, allowed=names)
            self.assertEqual(found, [], f"{model.__name__} {str(sent)[:60]!r}: {error}")
            self.assertLess(len(error.message), 400)
            self.assertTrue(error.message)
        return len(problem.errors)

    def test_bodies(self):
        refused = 0
        for route in self.table.routes:
            if route.body is None or route.is_big:
                continue
            for name in (*route.body.model_fields, "colour"):
                for sent in (*SENT, *_LISTS):
                    body = json.dumps({name: sent})
                    refused += self.hold(
                        route.body, sent, route.body.model_fields,
                        lambda body=body, model=route.body: model.model_validate_json(body),
                    )  # fmt: skip
        self.assertGreater(refused, 1000)

    def test_queries(self):
        refused = 0
        for route in self.table.routes:
            schema = route.query.model_json_schema() if route.query else {"properties": {}}
            ways = schema["properties"].get("sort", {}).get("enum", ())
            orders = {way.lstrip("-") for way in ways}
            for name in (*route.query.model_fields, "colour") if route.query else ():
                for sent in BAD:
                    refused += self.hold(
                        route.query, sent, {*route.query.model_fields, *orders},
                        lambda name=name, sent=sent, model=route.query:
                            model.model_validate_strings({name: sent}),
                    )  # fmt: skip
        self.assertGreater(refused, 100)

    def test_documents(self):
        refused = 0
        for section, one in WholeDocument.model_fields.items():
            entry = one.annotation.__args__[1]
            for name in (*entry.model_fields, "colour"):
                for sent in (*SENT, *_LISTS):
                    refused += self.hold(
                        entry, sent, entry.model_fields,
                        lambda name=name, sent=sent, section=section:
                            read_document({section: {"one": {name: sent}}}),
                    )  # fmt: skip
            for sent in SENT:
                refused += self.hold(
                    entry, sent, entry.model_fields,
                    lambda sent=sent, section=section: read_document({section: sent}),
                )  # fmt: skip
        self.assertGreater(refused, 500)

    def test_what_the_store_refuses(self):
        tunnel, user = self.make_tunnel(), self.make_user()
        self.assign(tunnel, user)
        nobody = "usr_" + "0" * 26
        for method, path, body in [
            ("POST", "/sites", {"name": "paris"}),
            ("POST", "/policies", {"name": "p", "valid_from": "2026-01-02T00:00:00Z",
                                   "valid_until": "2026-01-01T00:00:00Z"}),
            ("POST", "/policies", {"name": "p", "approvers_id": nobody}),
            ("POST", "/users", {"name": "alice"}),
            ("POST", f"/tunnels/{tunnel['id']}/assignments",
             {"user_id": user["id"], "methods": ["key"]}),
            ("POST", "/tokens", {"user_id": nobody}),
            ("POST", "/tokens", {"user_id": user["id"], "sessions": 2}),
            ("POST", "/tokens", {"user_id": user["id"], "sessions": 8, "tunnel_id": tunnel["id"]}),
            ("POST", "/api-tokens", {"role": "user"}),
            ("POST", f"/users/{user['id']}/keys", {"public_key": "x"}),
            ("POST", "/explain", {"user": "nobody", "tunnel": "db"}),
            ("POST", "/explain", {"user": "alice", "tunnel": "nothing"}),
            ("POST", "/identity-providers", {"name": "corp", "issuer": "http://x",
                                             "client_id": "c", "group_map": {"a": "none"}}),
            ("PATCH", f"/users/{self.people['admin'].id}", {"role": "user"}),
            ("DELETE", f"/policies/pol_{'0' * 26}", None),
        ]:  # fmt: skip
            with self.subTest(path=path, body=body):
                answer = self.ask(method, f"/api/v1{path}", body)
                self.assertIn(answer.status, (404, 409, 422), answer.body)
                for error in answer.json.get("errors", [{"message": answer.json["detail"]}]):
                    self.assertEqual(words_of_the_code(error["message"]), [], error)
