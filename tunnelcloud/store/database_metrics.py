"""What monitoring is told of the database: its size, and how many connectors each site has."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen
from sqlalchemy import func, select, text

from tunnelcloud.store.schema import connectors, sites
from tunnelcloud.store.transaction import Transaction

MOST_SITES = 200
"""How many sites have a label of their own in the metrics, the oldest ones."""

MEASURE_SECONDS = 60.0
"""How often the store is looked at for what only it knows."""

_SIZE = text("SELECT pg_database_size(current_database())")


@frozen
class Measures:
    """How things were when they were looked at last.

    :ivar sites: the names of the first sites, by id.
    :ivar joined: how many connectors have joined, by the site's id; of all sites.
    :ivar size: the bytes of a server's database; None for a file.
    """

    sites: Mapping[str, str] = field(factory=dict)
    joined: Mapping[str, int] = field(factory=dict)
    size: int | None = None


def measure(transaction: Transaction, most: int = MOST_SITES) -> Measures:
    """Look.

    :param most: name so many sites at most.
    """
    connection = transaction.connection
    first = select(sites.c.id, sites.c.name).order_by(sites.c.created_at, sites.c.id)
    names = {row.id: row.name for row in connection.execute(first.limit(most))}
    counted = (
        select(connectors.c.site_id, func.count().label("joined"))
        .where(connectors.c.joined_at.is_not(None))
        .group_by(connectors.c.site_id)
    )
    joined = {row.site_id: row.joined for row in connection.execute(counted)}
    is_file = connection.dialect.name == "sqlite"
    size = None if is_file else int(connection.execute(_SIZE).scalar_one())
    return Measures(names, joined, size)
