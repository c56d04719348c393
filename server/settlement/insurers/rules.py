"""What does the `local` insurer grant? Benefit rules read from TOML and checked as a whole."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.settlement.errors import BusinessTypeNotPayableError, RulesInvalidError
from server.settlement.split import WHOLE_BP, Benefits, Tier

DEFAULT_RULES = Path(__file__).with_name("local_rules.toml")

_KEYS = ("business_types", "annual_cap_fen", "out_of_region_reduction_bp", "sites")
_SITE_KEYS = ("deductible_fen", "tiers")


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRules:
    """The rules of a scheme."""

    business_types: frozenset[int]
    by_site_kind: Mapping[str, Benefits]

    def benefits_for(self, *, site_kind: str, business_type: int) -> Benefits:
        """Return what is granted for a use type at a kind of site.

        Raises:
            BusinessTypeNotPayableError: nothing: the use type is not paid for, or not at such a site.
        """
        benefits = self.by_site_kind.get(site_kind)
        if benefits is None or business_type not in self.business_types:
            raise BusinessTypeNotPayableError(business_type=business_type)
        return benefits


def load_rules(path: Path = DEFAULT_RULES) -> LocalRules:
    """Read and check a rules file.

    Raises:
        RulesInvalidError: lists every problem.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RulesInvalidError(problems=(f"{path.name}: {error}",)) from error
    return rules_from(data)


def rules_from(data: Mapping[str, Any]) -> LocalRules:
    """Return the rules in a parsed TOML document.

    Raises:
        RulesInvalidError: lists every problem.
    """
    problems = tuple(_problems(data))
    if problems:
        raise RulesInvalidError(problems=problems)
    return LocalRules(
        business_types=frozenset(data["business_types"]),
        by_site_kind={
            kind: Benefits(
                deductible_fen=site["deductible_fen"],
                tiers=tuple(Tier(up_to_fen=tier.get("up_to_fen"), ratio_bp=tier["ratio_bp"]) for tier in site["tiers"]),
                annual_cap_fen=data["annual_cap_fen"],
                out_of_region_reduction_bp=data["out_of_region_reduction_bp"],
            )
            for kind, site in data["sites"].items()
        },
    )


def _problems(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_or_missing("", data, _KEYS)
    types = data.get("business_types", [0])
    if not isinstance(types, list) or not types or not all(_is_whole(code, 0) for code in types):
        yield "business_types: a list of use types, at least one"
    if not _is_whole(data.get("annual_cap_fen", 0), 0):
        yield "annual_cap_fen: a whole number of fen, not negative"
    if not _is_whole(data.get("out_of_region_reduction_bp", 0), 0, WHOLE_BP):
        yield f"out_of_region_reduction_bp: 0 to {WHOLE_BP}"
    sites = data.get("sites", {"": None})
    if not isinstance(sites, dict) or not sites:
        yield "sites: at least one kind of site"
        return
    for kind, site in sites.items():
        if isinstance(site, dict):
            yield from _site_problems(f"sites.{kind}", site)
        elif "sites" in data:
            yield f"sites.{kind}: a table"


def _site_problems(where: str, site: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown_or_missing(f"{where}.", site, _SITE_KEYS)
    if not _is_whole(site.get("deductible_fen", 0), 0):
        yield f"{where}.deductible_fen: a whole number of fen, not negative"
    if "tiers" not in site:
        return
    tiers = site["tiers"]
    if not isinstance(tiers, list) or not tiers or not all(isinstance(tier, dict) for tier in tiers):
        yield f"{where}.tiers: a list of tables, at least one"
        return
    bound = 0
    for number, tier in enumerate(tiers, start=1):
        is_last = number == len(tiers)
        yield from _unknown_or_missing(f"{where}.tiers[{number}].", tier, ("ratio_bp",), optional=("up_to_fen",))
        if not _is_whole(tier.get("ratio_bp", 0), 0, WHOLE_BP):
            yield f"{where}.tiers[{number}].ratio_bp: 0 to {WHOLE_BP}"
        if is_last and "up_to_fen" in tier:
            yield f"{where}.tiers[{number}].up_to_fen: the last tier has no bound"
        elif not is_last:
            reached = tier.get("up_to_fen")
            if not _is_whole(reached, bound + 1):
                yield f"{where}.tiers[{number}].up_to_fen: a whole number of fen above {bound}"
                return
            bound = reached


def _unknown_or_missing(
    where: str, data: Mapping[str, Any], keys: tuple[str, ...], *, optional: tuple[str, ...] = ()
) -> Iterator[str]:
    yield from (f"{where}{key}: missing" for key in keys if key not in data)
    yield from (f"{where}{key}: unknown" for key in data if key not in (*keys, *optional))


def _is_whole(value: object, least: int, most: int | None = None) -> bool:
    return type(value) is int and value >= least and (most is None or value <= most)
