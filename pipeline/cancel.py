"""Ending the statement that a connection has under way, from another thread."""

import ctypes
from collections.abc import Callable

from psycopg2 import _psycopg, extensions


def canceller(connection: extensions.connection) -> Callable[[], None]:
    """What ends the statement under way on the connection, wherever it is called.

    The driver's own cancel() keeps all of Python waiting until the server answers, and one that hangs never does. Its
    library, called by way of ctypes, keeps nobody else waiting. Where that library can't be had, it is cancel().
    """
    try:
        libpq = ctypes.CDLL(_psycopg.__file__)
        libpq.PQgetCancel.argtypes, libpq.PQgetCancel.restype = [ctypes.c_void_p], ctypes.c_void_p
        libpq.PQcancel.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
        handle = libpq.PQgetCancel(connection.pgconn_ptr)
    except (AttributeError, OSError):
        return connection.cancel
    # the stand-in is at work here, too
    note = getattr(connection, "note_cancel", None)

    def cancel() -> None:
        if note is not None:
            note()
        libpq.PQcancel(handle, ctypes.create_string_buffer(256), 256)

    return cancel
