"""A face assertion pays once, here, soon, for this person and up to its limit."""

import asyncio
import base64
import dataclasses
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import ECKey
from sqlalchemy import Connection, Engine, insert
from sqlalchemy.exc import IntegrityError

from server.credentials import Assertions
from server.credentials.errors import (
    AssertionExpiredError,
    AssertionForeignError,
    AssertionInvalidError,
    AssertionUsedError,
    FaceAssertionError,
)
from server.credentials.token import Tokens
from server.store.tables.people import face_assertions
from tests.integration.credentials.made_up import KEY_ID, CredentialsBench, a_credentials_bench, a_person
from tests.support.clock import Clock
from tests.support.database import Database, a_unit_of_work

HERE: dict[str, Any] = {"terminal_id": "t-1", "business_type": 1301}
ELSEWHERE: list[dict[str, Any]] = [
    {"terminal_id": "t-2", "business_type": 1301},
    {"terminal_id": "t-1", "business_type": 2121},
]


@pytest.fixture
def engine(database: Database) -> Engine:
    return database.engine


@pytest.fixture
def bench() -> CredentialsBench:
    return a_credentials_bench()


def an_assertion(bench: CredentialsBench, connection: Connection, *, session_id: str = "s-1", serial: int = 1) -> str:
    person = a_person(bench.people, connection, serial=serial)
    return bench.assertions.issue(
        connection,
        session_id=session_id,
        person_id=person.person_id,
        purpose="VERIFY",
        amount_limit_fen=50_000,
        pin_free_limit_fen=20_000,
        staff_may_confirm=True,
        proves_holder=True,
        **HERE,
    ).token


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    opened = jws.extract_compact(token.encode())
    return dict(opened.headers()), json.loads(opened.payload)


def signed_with_the_public_key(header: dict[str, Any], payload: str, key: ECKey) -> str:
    """Return the old trick: HMAC with what everybody knows; no library makes it any more."""
    parts = [json.dumps({**header, "alg": "HS256"}).encode(), payload.encode()]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    mac = hmac.digest(key.as_pem(private=False), signed, "sha256")
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def test_the_token_says_what_the_platform_said(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        token = an_assertion(bench, connection)
        claims = bench.assertions.check(connection, token, **HERE)

    header, payload = parts_of(token)
    assert header == {"alg": "ES256", "kid": KEY_ID, "typ": "face-assertion+jwt"}
    assert payload["aud"] == "urn:shualian:terminal:t-1"
    assert payload["exp"] - payload["iat"] == 120
    assert payload["sub"] == claims.person_id
    assert (claims.session_id, claims.purpose, claims.amount_limit_fen) == ("s-1", "VERIFY", 50_000)
    assert claims.expires_at - claims.issued_at == timedelta(seconds=120)


def test_i04_an_assertion_may_be_checked_often_and_used_once(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        token = an_assertion(bench, connection)
        for _ in range(3):
            claims = bench.assertions.check(connection, token, **HERE)
        bench.assertions.redeem(connection, claims, transaction_id="tx-1", **HERE)

        with pytest.raises(AssertionUsedError):
            bench.assertions.redeem(connection, claims, transaction_id="tx-2", **HERE)
        with pytest.raises(AssertionUsedError):
            bench.assertions.check(connection, token, **HERE)


async def test_i04_of_two_parallel_uses_exactly_one_wins(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        claims = bench.assertions.verify(an_assertion(bench, connection))
    async with a_unit_of_work(engine) as unit_of_work:

        def use(connection: Connection, transaction_id: str) -> str:
            bench.assertions.redeem(connection, claims, transaction_id=transaction_id, **HERE)
            return transaction_id

        results = await asyncio.gather(
            *(unit_of_work.write(lambda connection, n=number: use(connection, f"tx-{n}")) for number in range(20)),  # type: ignore[misc]  # mypy does not infer a lambda with a default
            return_exceptions=True,
        )

    assert [result for result in results if isinstance(result, str)] == ["tx-0"]
    assert {type(result) for result in results if not isinstance(result, str)} == {AssertionUsedError}


async def test_i04_a_settlement_that_fails_leaves_the_assertion_unused(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        claims = bench.assertions.verify(an_assertion(bench, connection))
    async with a_unit_of_work(engine) as unit_of_work:

        def use_and_fail(connection: Connection) -> None:
            bench.assertions.redeem(connection, claims, transaction_id="tx-1", **HERE)
            raise LookupError

        with pytest.raises(LookupError):
            await unit_of_work.write(use_and_fail)
        await unit_of_work.write(
            lambda connection: bench.assertions.redeem(connection, claims, transaction_id="tx-2", **HERE)
        )


def test_i04_an_assertion_is_over_after_120_seconds(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        token = an_assertion(bench, connection)
        bench.clock.advance(timedelta(seconds=119))
        claims = bench.assertions.check(connection, token, **HERE)
        bench.clock.advance(timedelta(seconds=1))

        with pytest.raises(AssertionExpiredError):
            bench.assertions.verify(token)
        with pytest.raises(AssertionExpiredError):
            bench.assertions.redeem(connection, claims, transaction_id="tx-1", **HERE)


@pytest.mark.parametrize("elsewhere", ELSEWHERE, ids=["other terminal", "other business"])
def test_i04_an_assertion_is_good_at_its_own_terminal_and_business_alone(
    engine: Engine, bench: CredentialsBench, elsewhere: dict[str, Any]
) -> None:
    with engine.begin() as connection:
        token = an_assertion(bench, connection)
        claims = bench.assertions.check(connection, token, **HERE)

        with pytest.raises(AssertionForeignError):
            bench.assertions.check(connection, token, **elsewhere)
        with pytest.raises(AssertionForeignError):
            bench.assertions.redeem(connection, claims, transaction_id="tx-1", **elsewhere)
        bench.assertions.redeem(connection, claims, transaction_id="tx-1", **HERE)


@pytest.mark.parametrize(
    "change",
    [
        {"person_id": "p-2"},
        {"session_id": "s-2"},
        {"purpose": "ACTIVATE"},
        {"amount_limit_fen": 50_001},
        {"pin_free_limit_fen": 20_001},
        {"staff_may_confirm": False},
        {"proves_holder": False},
    ],
    ids=["person", "session", "purpose", "limit", "pin-free", "staff", "holder"],
)
def test_i04_claims_that_differ_from_what_was_decided_pay_nothing(
    engine: Engine, bench: CredentialsBench, change: dict[str, Any]
) -> None:
    """Even with a stolen signing key a changed claim does not fit its row."""
    with engine.begin() as connection:
        claims = bench.assertions.verify(an_assertion(bench, connection))

        with pytest.raises(AssertionForeignError):
            bench.assertions.redeem(connection, dataclasses.replace(claims, **change), transaction_id="tx-1", **HERE)


def test_an_assertion_of_the_release_before_pays_with_the_pin_alone(engine: Engine, bench: CredentialsBench) -> None:
    """A replica that is not renewed yet says nothing of PIN, staff and holder, neither in the token nor in the row."""
    tokens = Tokens(signing_key=bench.signing_key, key_id=KEY_ID, token_type="face-assertion+jwt")
    with engine.begin() as connection:
        now = bench.clock.now().replace(microsecond=0)
        person_id = a_person(bench.people, connection, serial=1).person_id
        connection.execute(
            insert(face_assertions).values(
                assertion_id="a-1", terminal_id="t-1", session_id="s-1", person_id=person_id, purpose="VERIFY",
                business_type=1301, amount_limit_fen=50_000, issued_at=now, expires_at=now + timedelta(seconds=120),
            )
        )  # fmt: skip
        seconds = int(now.timestamp())
        token = tokens.signed(
            terminal_id="t-1",
            claims={
                "sub": person_id, "jti": "a-1", "iat": seconds, "exp": seconds + 120, "session": "s-1",
                "purpose": "VERIFY", "business_type": 1301, "limit_fen": 50_000,
            },
        )  # fmt: skip

        claims = bench.assertions.check(connection, token, **HERE)
        bench.assertions.redeem(connection, claims, transaction_id="tx-1", **HERE)

    assert (claims.pin_free_limit_fen, claims.staff_may_confirm, claims.proves_holder) == (0, False, False)


def test_i12_who_knows_all_about_a_person_but_has_no_decision_pays_nothing(
    engine: Engine, bench: CredentialsBench
) -> None:
    """Terminal, person, purpose, amount, all of it right; what is missing is a face that was recognised."""
    with engine.begin() as connection:
        real = bench.assertions.verify(an_assertion(bench, connection))
        made_up = dataclasses.replace(real, assertion_id="01890000-0000-7000-8000-000000000000")

        with pytest.raises(AssertionInvalidError):
            bench.assertions.redeem(connection, made_up, transaction_id="tx-1", **HERE)


def test_an_assertion_whose_session_was_never_committed_is_worth_nothing(
    engine: Engine, bench: CredentialsBench
) -> None:
    with engine.connect() as connection:
        token = an_assertion(bench, connection)
        connection.rollback()

        with pytest.raises(AssertionInvalidError):
            bench.assertions.check(connection, token, **HERE)
        with pytest.raises(AssertionInvalidError):
            bench.assertions.redeem(connection, bench.assertions.verify(token), transaction_id="tx-1", **HERE)


def test_a_session_gets_one_assertion(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        an_assertion(bench, connection)

        with pytest.raises(IntegrityError):
            an_assertion(bench, connection, serial=2)


def test_a_token_of_another_making_is_refused(engine: Engine, bench: CredentialsBench) -> None:
    with engine.begin() as connection:
        token = an_assertion(bench, connection)
    header, payload = parts_of(token)
    written = json.dumps(payload)
    ours, theirs = ECKey.import_key(bench.signing_key), ECKey.import_key(ec.generate_private_key(ec.SECP256R1()))
    forged = {
        "another key": jws.serialize_compact(header, written, theirs),
        "another key id": jws.serialize_compact({**header, "kid": "old"}, written, ours),
        "another type": jws.serialize_compact({**header, "typ": "JWT"}, written, ours),
        "another issuer": jws.serialize_compact(header, json.dumps({**payload, "iss": "somebody"}), ours),
        "our public key as a shared secret": signed_with_the_public_key(header, written, ours),
        "no signature": token.rsplit(".", 1)[0] + ".",
        "algorithm none": "eyJhbGciOiJub25lIn0." + token.split(".")[1] + ".",
        "no object": jws.serialize_compact(header, "[1]", ours),
        "no JSON": jws.serialize_compact(header, "{", ours),
        "a claim missing": jws.serialize_compact(header, json.dumps({"iss": payload["iss"]}), ours),
        "too long": token + "A" * 5000,
        "cut off": token[:-10],
    }

    for how, made in forged.items():
        with pytest.raises(AssertionInvalidError):
            pytest.fail(f"{how}: {bench.assertions.verify(made)}")


@given(text=st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_garbage_is_refused_and_breaks_nothing(text: str) -> None:
    with pytest.raises(FaceAssertionError):
        GARBAGE_BENCH.assertions.verify(text)


GARBAGE_BENCH = a_credentials_bench()


@pytest.mark.parametrize("seconds", [0, 0.5, 1.5, 121])
def test_i04_no_lifetime_above_120_seconds_can_be_configured(seconds: float) -> None:
    with pytest.raises(ValueError, match="120"):
        a_credentials_bench(lifetime=timedelta(seconds=seconds))


def test_another_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="P-256"):
        Assertions(
            now=Clock().now,
            signing_key=ec.generate_private_key(ec.SECP384R1()),
            key_id=KEY_ID,
            lifetime=timedelta(seconds=60),
        )
