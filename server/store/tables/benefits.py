"""The columns of the local insurer's registers: filings, chronic diseases, stays, and years that count apart."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Date, ForeignKey, Integer, String, Table

from device_registry.tables import UtcTime, Uuid, metadata

out_of_region_filings = Table(
    "out_of_region_filings",
    metadata,
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    # Of the sites where they want to be treated.
    Column("region", String(32), primary_key=True),
    Column("from_day", Date, primary_key=True),
    # The last day; None: until further notice.
    Column("until_day", Date),
    CheckConstraint("until_day IS NULL OR until_day >= from_day", name="ends_after_it_begins"),
    sqlite_with_rowid=False,
)

chronic_registrations = Table(
    "chronic_registrations",
    metadata,
    Column("person_id", Uuid, ForeignKey("insured_people.person_id"), primary_key=True),
    Column("disease", String(32), primary_key=True),
    Column("from_day", Date, primary_key=True),
    # The last day; None: until further notice.
    Column("until_day", Date),
    CheckConstraint("until_day IS NULL OR until_day >= from_day", name="ends_after_it_begins"),
    sqlite_with_rowid=False,
)

inpatient_stays = Table(
    "inpatient_stays",
    metadata,
    Column("site_id", Uuid, primary_key=True),
    Column("stay_number", String(64), primary_key=True),
    # Names the ledger account of its prepayments.
    Column("stay_id", Uuid, nullable=False, unique=True),
    Column("person_id", Uuid, nullable=False),
    Column("opened_at", UtcTime, nullable=False),
    # The settlement that has closed it; None while it is open.
    Column("settled_by", Uuid),
    sqlite_with_rowid=False,
)

benefit_pots = Table(
    "benefit_pots",
    metadata,
    Column("person_id", Uuid, primary_key=True),
    Column("benefit_year", Integer, primary_key=True),
    # What counts apart from outpatient bills: "INPATIENT", or "CHRONIC:" and the key of a disease.
    Column("pot", String(48), primary_key=True),
    Column("deductible_used_fen", BigInteger, nullable=False),
    Column("eligible_used_fen", BigInteger, nullable=False),
    # Without the catastrophic tier, which belongs to no pot.
    Column("fund_used_fen", BigInteger, nullable=False),
    CheckConstraint("deductible_used_fen >= 0 AND eligible_used_fen >= 0 AND fund_used_fen >= 0", name="not_negative"),
    sqlite_with_rowid=False,
)
