"""Which terminal does an operator mean? By id or by serial number, whichever they have at hand."""

from sqlalchemy import Connection

from server.wiring import Domain


def terminal_meant(domain: Domain, connection: Connection, given: str) -> str:
    """Return the id of the terminal with this id or serial number; of several, the one in service or else the newest.

    Raises:
        TerminalUnknownError: there is none.
    """
    return domain.roster.meant(connection, given).terminal_id
