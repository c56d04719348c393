"""The last step: what is left in the books and in the audit trail when everybody has gone home."""

from concurrent.futures import ThreadPoolExecutor

from server.demo.stage import Stage, Told


def closed(stage: Stage) -> Told:
    """Walk the ledger and the audit trail."""
    with ThreadPoolExecutor(max_workers=2) as both:
        ledger_walk = both.submit(stage.platform, "ledger", "verify")
        audit_walk = both.submit(stage.platform, "audit", "verify")
    ledger, audit = ledger_walk.result(), audit_walk.result()
    return Told(
        line=f"{ledger['entries']} entries in {ledger['transactions']} postings sum to zero, no balance is below it",
        notes=[f"audit trail: {audit['entries']} entries, hash chain unbroken, head {audit['head'][:12]}…"],
        details={
            "ledger_entries": ledger["entries"],
            "ledger_sums_to_zero": ledger["ok"],
            "audit_entries": audit["entries"],
            "audit_verified": audit["ok"],
            "audit_head": audit["head"],
        },
    )
