"""Opens the tunnel of a file of servers with pgAdmin's own code, and moves data through it.

usage: python pgadmin_tunnel.py LOADER FILE [PASSWORD]

LOADER is the program that has pgAdmin load FILE; PASSWORD is typed where pgAdmin asks for the
tunnel's.  Says "open" once pgAdmin has logged in, and
"whole" if the target said back what it was sent.
"""

import runpy
import socket
import sys

PATIENCE = 60
SENT = b"hello"

loader, file, *typed = sys.argv[1:]
sys.argv = [loader, file]
app = runpy.run_path(loader)["app"]
app.PGADMIN_RUNTIME = False  # as its own program says it
from flask_login import login_user  # noqa: E402
from pgadmin.model import Server, User  # noqa: E402
from pgadmin.utils.crypto import encrypt  # noqa: E402
from pgadmin.utils.driver.psycopg3.server_manager import ServerManager  # noqa: E402
from pgadmin.utils.master_password import set_crypt_key  # noqa: E402

KEY = "pgAdmin's own key"

with app.test_request_context():
    login_user(User.query.first())
    manager = ServerManager(Server.query.first())
    set_crypt_key(KEY)
    password = encrypt(typed[0], KEY) if typed else None
    made, why = manager.create_ssh_tunnel(password)
    sys.stdout.write("open\n" if made else f"{why}\n")
    sys.stdout.flush()
    with socket.create_connection(("127.0.0.1", manager.local_bind_port), PATIENCE) as connection:
        connection.sendall(SENT)
        sys.stdout.write("whole\n" if connection.recv(100) == SENT else "differs\n")
    manager.stop_ssh_tunnel()
