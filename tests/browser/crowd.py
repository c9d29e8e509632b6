"""A world with more of everything than one would want, and with names nobody should have."""

from datetime import timedelta

from sqlalchemy import func, insert, literal, select, true

from tunnelcloud.domain.entities import Method, SessionMethod
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.schedule import parse_window
from tunnelcloud.store import (
    assignments,
    channels,
    connectors,
    groups,
    pods,
    policies,
    schema,
    sessions,
    sites,
    tunnels,
    users,
)

MANY = 10_000
LONG = "a-name-of-sixty-characters-which-is-more-than-anybody-needs-"[:60]
HOSTILE = "<img src=x onerror=alert(1)>\u202egnol\x1b[31m שלום & \"'"


def make_crowd(transaction):
    """Fill the store; give the ids of what is worth looking at."""
    now = transaction.now()
    addresses = {"ssh_address": "pod-2:1", "connectors_address": "pod-2:2"}
    pod = pods.register(transaction, pods.Registration(name="pod-2", version="1", **addresses))
    site = sites.create(transaction, name="paris", title=HOSTILE)
    lone = sites.create(transaction, name="lone-site")
    for number in range(3):
        connectors.create(transaction, name=f"paris-{number}", site_id=site.id)
    long = tunnels.create(
        transaction,
        name=LONG,
        title=HOSTILE,
        site_id=lone.id,
        target_address=f"{LONG}.internal.example.com",
        target_ports=tuple(PortRange(port, port + 5) for port in range(1000, 1100, 10)),
        external_address=f"{LONG}.example.com",
        description=HOSTILE,
    )
    person = users.create(transaction, name=LONG, title=HOSTILE, email=f"{LONG}@example.com")
    group = groups.create(transaction, name=LONG, title=HOSTILE)
    groups.add_member(transaction, group.id, person.id)
    policy = policies.create(
        transaction,
        name=LONG,
        title=HOSTILE,
        source_networks=("10.0.0.0/8", "192.168.0.0/16", "fd00::/8"),
        windows=(parse_window("Mon-Fri 09:00-18:00 Europe/Paris"),),
        valid_until=now + timedelta(days=3),
        max_channels=3,
    )
    methods = frozenset(Method)
    assignments.create(
        transaction, tunnel_id=long.id, methods=methods, group_id=group.id, policy_id=policy.id
    )
    login = sessions.LoginRecord(HOSTILE, "2001:db8:1234:5678:9abc:def0:1234:5678", HOSTILE, pod.id)
    session = sessions.start(transaction, person, SessionMethod.KEY, login)
    for number in range(5):
        channels.open(transaction, session, long, destination=LONG, port=1000 + number)
    transaction.audit(
        AuditEvent("login.refused", actor=HOSTILE, user_name=HOSTILE, data={"reason": HOSTILE})
    )
    _rows(transaction, schema.users, "user", {"email": None, "role": Role.USER, "service": False,
                                              "blocked": False})  # fmt: skip
    _rows(transaction, schema.tunnels, "tunnel", {
        "site_id": site.id, "target_address": "10.0.0.5", "target_ports": (PortRange(1, 1),),
        "local_port_offset": 0, "external_address": None, "enabled": True, "icon": "",
        "description": ""})  # fmt: skip
    _rows(transaction, schema.groups, "group", {})
    _rows(transaction, schema.policies, "policy", {"source_networks": (), "windows": ()})
    _rows(transaction, schema.sites, "site", {})
    _rows(transaction, schema.connectors, "connector", {"site_id": site.id, "version": ""})
    return {
        "tunnels": long.id, "users": person.id, "groups": group.id, "policies": policy.id,
        "sites": site.id,
    }  # fmt: skip


def _rows(transaction, table, noun, values):
    """Write one row, and have the database copy it: ten thousand are made faster than sent."""
    first_id = transaction.new_id(noun)
    row = {"id": first_id, "created_at": transaction.now(), "title": "", **values}
    transaction.connection.execute(insert(table), {"name": f"{noun}-00000", **row})
    first = table.alias()
    numbers = select(literal(1).label("number")).cte(recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < MANY - 1))
    prefix = first_id.partition("_")[0]
    new = {
        # The program makes none that ends so: the database keeps it as it is, as text.
        "id": func.printf(f"{prefix}_%025d1", numbers.c.number),
        "name": func.printf(f"{noun}-%05d", numbers.c.number),
    }
    copies = (
        select(*(new.get(column.name, column) for column in first.c))
        .select_from(first.join(numbers, true()))
        .where(first.c.id == first_id)
    )
    names = [column.name for column in table.c]
    transaction.connection.execute(insert(table).from_select(names, copies))
