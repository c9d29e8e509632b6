"""A small API on loopback that answers in the shapes product.md promises.

It keeps objects in memory, checks the bearer token and remembers what it was asked.
"""

import json
import re
import threading
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from tunnelcloud.domain.entities import place_of

TOKEN = "tca_" + "a" * 26
NOW = "2026-03-02T09:00:00Z"
PREFIXES = {
    "sites": "sit",
    "connectors": "con",
    "tunnels": "tun",
    "users": "usr",
    "groups": "grp",
    "policies": "pol",
    "tokens": "tok",
    "keys": "key",
    "assignments": "asg",
    "sessions": "ses",
    "channels": "chn",
    "audit": "evt",
    "host-keys": "hky",
    "identity-providers": "idp",
    "identities": "idp",
    "requests": "req",
    "grants": "gra",
}
SIGNING_IN = {
    "device-logins": {
        "user_code": "WDJB-MJHT",
        "verification_url": "https://portal.example.com/device",
        "device_code": "d",
        "interval": 0,
        "expires_in": 600,
    },
    "device-logins/token": {"status": "allowed", "token": TOKEN, "user": "alice"},
    "me/api-token": {},
}
"""What is answered to signing in and out, without a look at the bearer token."""
JOIN = {
    "token": "tcj_x",
    "expires_at": NOW,
    "command": "twistd tunnelcloud connector --join-file paris-1.token",
}
EXPLAINED = {
    "allowed": False,
    "reason": "db: port 5433 is not published (5432 is)",
    "rules": [
        {"rule": "assignment", "passed": True, "text": "alice may open db"},
        {"rule": "port", "passed": False, "text": "port 5433 is not published (5432 is)"},
    ],
}


class Refused(Exception):
    def __init__(self, status, detail, errors=()):
        super().__init__(detail)
        self.status = status
        self.errors = list(errors)


class FakeApi:
    """The objects, by the path of their collection, and the requests that were made."""

    def __init__(self):
        self.collections = {}
        self.requests = []
        self.members = {}
        self.fault = ""
        self.checked = {"ok": True, "steps": []}
        self.explained = EXPLAINED
        self.override = None
        self.cost = {"users": 0, "channels": 0, "sessions": 0, "objects": {}, "in_use": 0}
        self.preview = {}
        self.away = False
        self.token_warnings = []
        self._made = 0

    def __enter__(self):
        api = self

        class Handler(_Handler):
            fake = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def new_id(self, prefix):
        self._made += 1
        return f"{prefix}_{self._made:026d}"

    def put(self, path, **fields):
        """Keep an object in a collection, as if it had been there before."""
        found = {"id": self.new_id(PREFIXES[path.split("/")[-1]]), "created_at": NOW, **fields}
        self.collections.setdefault(path, []).append(found)
        return found

    def objects(self, path):
        return self.collections.get(path, [])

    def answer(self, method, path, query, body):
        """Decide the status and the object of an answer."""
        if path == "me":
            return 200, {"role": "user", "user": self.objects("users")[0]}
        if path == "explain":
            return 200, self.explained
        if re.fullmatch(r"tunnels/[^/]+/check", path):
            return 200, self.checked
        if re.fullmatch(r"identity-providers/[^/]+/check", path):
            return 200, {**self.objects("identity-providers")[0], "check_fault": self.fault}
        if path.endswith(("/deletion", "/preview")):
            return 200, self.cost if path.endswith("/deletion") else self.preview
        match = re.fullmatch(r"groups/([^/]+)/members/([^/]+)", path)
        if match:
            members = self.members.setdefault(match[1], [])
            if method == "PUT":
                members.append(match[2])
            elif match[2] not in members:
                raise Refused(404, "the group has no such member")
            else:
                members.remove(match[2])
            return 204, None
        if re.fullmatch(r"connectors/[^/]+/join-token", path):
            return 200, JOIN
        if re.fullmatch(r"users/[^/]+/invitations", path):
            return 201, {"url": "https://portal.example.com/invitation/x", "expires_at": NOW}
        collection, _, last = path.rpartition("/")
        if re.fullmatch(r"[a-z]{3}_\d{26}", last):
            return self.item(method, collection, last, body)
        return self.collection(method, path, query, body)

    def collection(self, method, path, query, body):
        if path.split("/")[-1] in ("rotate", "promote", "retire"):
            return 204, None
        if path.split("/")[-1] not in PREFIXES:
            raise Refused(404, "there is nothing at this address")
        if method == "POST":
            return 201, self.create(path, body)
        found = self.objects(path)
        limit = int(query.pop("limit", 50))
        start = int(query.pop("cursor", 0))
        if query.pop("live", None) == "true":
            found = [item for item in found if item["ended_at"] is None]
        if "group_id" in query:
            members = self.members.get(query.pop("group_id"), [])
            found = [item for item in found if item["id"] in members]
        since = query.pop("since", None)
        if since is not None:
            earliest = datetime.fromisoformat(since).timestamp() * 1000
            found = [i for i in found if place_of(i["id"])[0] >= earliest]
        if path == "audit" and query.pop("order", "newest") == "newest":
            found = found[::-1]
        for key, value in query.items():
            keys = ("name", "email") if (path, key) == ("users", "name") else (key,)
            found = [i for i in found if value.lower() in [str(i.get(k)).lower() for k in keys]]
        following = str(start + limit) if start + limit < len(found) else None
        return 200, {"items": found[start : start + limit], "next_cursor": following}

    def create(self, path, body):
        name = body.get("name")
        if name is not None and any(item.get("name") == name for item in self.objects(path)):
            raise Refused(409, "name: is taken", [{"field": "name", "message": "is taken"}])
        if path in ("tokens", "me/tokens"):
            secret = {"token": "b" * 26, "expires_at": NOW, "command": "ssh -N tcptunnel@pod"}
            return self.put(path, **body) | secret | {"warnings": self.token_warnings}
        if path in ("requests", "grants"):
            body = {"tunnel_name": "db", "status": "pending", "ends_at": NOW, **body}
        made = self.put(path, **body)
        return made | {"join": JOIN} if path == "connectors" else made

    def item(self, method, path, wanted, body):
        for item in self.objects(path):
            if item["id"] == wanted:
                if method == "PATCH":
                    item.update(body)
                elif method == "DELETE":
                    self.objects(path).remove(item)
                    return 204, None
                return 200, item
        raise Refused(404, "there is nothing at this address")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw) if raw else None
        path = parts.path.removeprefix("/api/v1/")
        self.fake.requests.append((self.command, path, dict(query), body))
        if self.fake.away:
            self.close_connection = True
            return None
        if self.fake.override is not None:
            return self.send(*self.fake.override)
        try:
            if path in SIGNING_IN:
                return self.send(200, "application/json", json.dumps(SIGNING_IN[path]))
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Refused(401, "the API token is wrong or over")
            status, found = self.fake.answer(self.command, path, query, body)
            text = json.dumps(found) if found is not None else ""
            return self.send(status, "application/json", text)
        except Refused as refused:
            problem = {"status": refused.status, "detail": str(refused), "errors": refused.errors}
            return self.send(refused.status, "application/problem+json", json.dumps(problem))

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = respond

    def send(self, status, kind, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if status in (301, 302, 307):
            self.send_header("Location", "https://elsewhere.example/")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass
