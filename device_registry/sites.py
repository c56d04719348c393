"""How is a site's record corrected? Name and kind; the region stays, because bills were settled under it."""

from sqlalchemy import Connection, bindparam, update

from device_registry import store
from device_registry.audit.log import AuditLog
from device_registry.errors import SiteUnknownError
from device_registry.model import Site, SiteKind
from device_registry.tables import sites
from device_registry.wording import refuse_actor, refuse_text

NAME_LENGTH_MAX = 128

_CORRECT = (
    update(sites)
    .where(sites.c.site_id == bindparam("which"))
    .values(name=bindparam("new_name"), kind=bindparam("new_kind"))
)


class Sites:
    """Corrects what was written down of a site."""

    def __init__(self, *, audit: AuditLog) -> None:
        self._audit = audit

    def correct(
        self,
        connection: Connection,
        *,
        site_id: str,
        name: str | None,
        kind: SiteKind | None,
        reason: str,
        actor: str,
        request_id: str = "",
    ) -> Site:
        """Give a site another name or kind; None leaves it. Return it as it is then.

        Raises:
            SiteUnknownError: there is no such site.
            FieldInvalidError: the name is empty, too long or cannot be printed.
        """
        refuse_actor(actor)
        site = store.find_site(connection, site_id)
        if site is None:
            raise SiteUnknownError(site_id=site_id)
        new_name = site.name if name is None else name
        refuse_text(NAME_LENGTH_MAX, name=new_name)
        new_kind = kind or site.kind
        connection.execute(_CORRECT, {"which": site_id, "new_name": new_name, "new_kind": new_kind})
        self._audit.append(
            connection,
            actor=actor,
            action="site.corrected",
            subject=site_id,
            reason=reason,
            request_id=request_id,
            details={"kind": new_kind},
        )
        return store.find_site(connection, site_id) or site
