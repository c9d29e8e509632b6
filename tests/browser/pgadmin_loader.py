"""Loads a file of servers with pgAdmin's own loader, and prints what pgAdmin then has.

Run by a Python that has pgAdmin, with the file's name; pgAdmin's database is made in ``HOME``.
"""

import builtins
import importlib.util
import json
import os
import sys
from pathlib import Path

FIELDS = (
    "name", "host", "port", "use_ssh_tunnel", "tunnel_host", "tunnel_port", "tunnel_username",
    "tunnel_authentication", "tunnel_identity_file",
)  # fmt: skip

file = Path(sys.argv[1]).absolute()
found = importlib.util.find_spec("pgadmin4")
assert found is not None
assert found.submodule_search_locations
root = Path(found.submodule_search_locations[0])
sys.path.insert(0, str(root))
os.chdir(root)
builtins.SERVER_MODE = False
sys.argv = ["setup.py"]
# Its own set-up, as `setup.py setup-db` and `setup.py load-servers FILE` do it.
import setup  # noqa: E402
from pgadmin import create_app  # noqa: E402
from pgadmin.model import Server  # noqa: E402
from pgadmin.utils import load_database_servers  # noqa: E402

app = create_app()
setup.setup_db(app)
with app.test_request_context():
    load_database_servers(str(file), None, setup.config.DESKTOP_USER, True)
    shown = [{name: getattr(one, name) for name in FIELDS} for one in Server.query.all()]
sys.stdout.write(f"\n{json.dumps(shown)}\n")
