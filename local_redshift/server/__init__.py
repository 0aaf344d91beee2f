"""The embedded PostgreSQL server: made on first use, started on demand, stopped with its last user."""

from local_redshift.server import catalogue, keeper
from local_redshift.server.embedded import SOCKET_NAME, EmbeddedServer, get_server
from local_redshift.server.installation import ADMIN, binaries

__all__ = ["ADMIN", "SOCKET_NAME", "EmbeddedServer", "binaries", "catalogue", "get_server", "keeper"]
