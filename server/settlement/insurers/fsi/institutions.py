"""In whose name does each site speak? The platform's own institution, and those that a file names."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from server.settings import ConfigError
from server.settlement.insurers.fsi.envelope import Institution
from server.settlement.insurers.fsi.profile import Profile

_KEYS: Final = ("code", "name", "region")


class Institutions:
    """In whose name each site speaks."""

    def __init__(self, default: Institution, by_site: Mapping[str, Institution]) -> None:
        """Take them.

        Args:
            default: of every site that is not named.
            by_site: those that are, by our id of the site.
        """
        self._default: Final = default
        self._by_site: Final = dict(by_site)
        self._by_code: Final = {each.code: each for each in (*by_site.values(), default)}

    def of_site(self, site_id: str) -> Institution:
        """Return the institution of a site."""
        return self._by_site.get(site_id, self._default)

    def with_code(self, code: str) -> Institution:
        """Return an institution by its code; one that is configured no more is spoken for as before."""
        known = self._by_code.get(code)
        return known or Institution(code=code, name=self._default.name, region=self._default.region)

    def __iter__(self) -> Iterator[Institution]:
        return iter(self._by_code.values())


def load_institutions(path: Path | None, *, default: Institution, profile: Profile) -> Institutions:
    """Read which sites have an institution of their own: `[sites.<site id>]` with code, name and region.

    Raises:
        ConfigError: lists every mistake, also those of the default.
    """
    try:
        data = {} if path is None else tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(mistakes=(f"{path}: {error}",)) from error
    sites = data.get("sites", {})
    mistakes = [f"{key}: unknown key" for key in data if key != "sites"]
    if not isinstance(sites, dict):
        raise ConfigError(mistakes=(*mistakes, "sites: must be tables, written [sites.<site id>]"))
    by_site = {}
    for site_id, table in sites.items():
        problems = list(_table_mistakes(f"sites.{site_id}", table))
        mistakes += problems
        if not problems:
            by_site[site_id] = Institution(**table)
    for where, institution in (("fsi", default), *((f"sites.{site}", each) for site, each in by_site.items())):
        mistakes += _unfit(where, institution, profile)
    if mistakes:
        raise ConfigError(mistakes=tuple(mistakes))
    return Institutions(default, by_site)


def _table_mistakes(where: str, table: Any) -> Iterator[str]:  # noqa: ANN401 - whatever TOML holds
    if not isinstance(table, dict):
        yield f"{where}: must be a table"
        return
    yield from (f"{where}.{key}: missing" for key in _KEYS if key not in table)
    yield from (f"{where}.{key}: unknown key" for key in table if key not in _KEYS)
    yield from (f"{where}.{key}: must be a text" for key in _KEYS if not isinstance(table.get(key, ""), str))


def _unfit(where: str, institution: Institution, profile: Profile) -> Iterator[str]:
    wanted, lengths = profile.msgid.institution_length, profile.lengths
    if len(institution.code) != wanted or not institution.code.isalnum():
        yield f"{where}: the institution's code must have {wanted} letters and digits, as the profile's msgid wants"
    if len(institution.code) > lengths.fixmedins_code:
        yield f"{where}: the institution's code is longer than lengths.fixmedins_code"
    if len(institution.name) > lengths.fixmedins_name:
        yield f"{where}: the institution's name is longer than lengths.fixmedins_name"
    if len(institution.region) > lengths.mdtrtarea_admvs or not institution.region.isdigit():
        yield f"{where}: the region must be at most {lengths.mdtrtarea_admvs} digits"
