"""Factory identities that hold, and every way to cheat with a chain of certificates."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from hypothesis import given, settings
from hypothesis import strategies as st

from device_registry.authority.certificates import fingerprint_from_der
from device_registry.enrollment.chains import (
    ChainRefusedError,
    FactoryIdentity,
    Fault,
    anchor_from_der,
    factory_identity,
    recorded_root,
)
from device_registry.errors import FactoryRootRefusedError
from tests.support.factory import (
    FOR_EVER,
    MADE_AT,
    Factory,
    Holder,
    a_device_draft,
    an_authority_draft,
    an_ec_key,
    key_usage,
    signed,
)

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
HERON = Factory()
OTHER = Factory(maker="Egret Systems")
SN = "HD3-000017"
RSA_1024 = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - weak on purpose
RSA_2048 = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def proven(*chain: bytes, roots: tuple[bytes, ...] = (OTHER.root.der, HERON.root.der)) -> FactoryIdentity:
    return factory_identity(chain, roots=[recorded_root(der) for der in roots], now=NOW)


def fault_of(*chain: bytes) -> Fault:
    with pytest.raises(ChainRefusedError) as caught:
        proven(*chain)
    return caught.value.fault


def test_an_identity_without_an_end_is_proven_by_its_chain() -> None:
    device = HERON.make(SN)
    assert device.holder.certificate.not_valid_after_utc == FOR_EVER

    identity = proven(*device.chain_der)

    assert identity.serial_number == SN
    assert identity.public_key_sha256 == device.key_sha256
    assert identity.root_fingerprint == HERON.root.certificate.fingerprint(hashes.SHA256()).hex()


def test_the_root_may_be_sent_along_and_counts_as_one_of_four() -> None:
    device = HERON.make(SN)

    assert proven(*device.chain_der, HERON.root.der).serial_number == SN


@pytest.mark.parametrize("key", [an_ec_key(), an_ec_key(ec.SECP384R1()), RSA_2048], ids=["P-256", "P-384", "RSA-2048"])
def test_each_kind_of_factory_key_signs_and_only_what_it_signed_passes(key: ec.EllipticCurvePrivateKey) -> None:
    device = HERON.make(SN, key=key)
    identity = proven(*device.chain_der)

    identity.verify(device.sign(b"content"), b"content")

    with pytest.raises(ChainRefusedError) as caught:
        identity.verify(device.sign(b"content"), b"other content")
    assert caught.value.fault is Fault.SIGNATURE


def a_line(**changes: object) -> Holder:
    """Return an authority under Heron's root, with something about it changed."""
    return HERON.root.issue(an_authority_draft("Heron line 9", **changes))


def under(line: Holder, **changes: object) -> tuple[bytes, ...]:
    """Return the chain of a device from this line."""
    return (line.issue(a_device_draft(SN, **changes)).der, line.der)


def deep() -> tuple[bytes, ...]:
    """Return five certificates in good order, under a root that would allow them."""
    holders = [HERON.root]
    for depth in range(4):
        holders.append(holders[-1].issue(an_authority_draft(f"Heron depth {depth}")))
    leaf = holders[-1].issue(a_device_draft(SN))
    return (leaf.der, *(holder.der for holder in reversed(holders[1:])))


def below_a_device() -> tuple[bytes, ...]:
    """Return an identity that another device has signed with its own factory key."""
    device = HERON.make("HD3-000018")
    return (device.holder.issue(a_device_draft(SN)).der, *device.chain_der)


def with_a_borrowed_name() -> tuple[bytes, ...]:
    """Return an identity that a stranger signed under the line's name."""
    stranger = Factory()
    return (stranger.line.issue(a_device_draft(SN)).der, HERON.line.der)


def with_a_root_of_the_same_name() -> tuple[bytes, ...]:
    return Factory().make(SN).chain_der


def with_another_issuer_in_it() -> tuple[bytes, ...]:
    return (HERON.line.issue(a_device_draft(SN, issuer_name="Heron line 2")).der, HERON.line.der)


def beyond_the_path_length() -> tuple[bytes, ...]:
    sub = HERON.line.issue(an_authority_draft("Heron sub-line"))  # the line allows none below it
    return (sub.issue(a_device_draft(SN)).der, sub.der, HERON.line.der)


def in_a_loop() -> tuple[bytes, ...]:
    """Return two authorities that signed each other, and a device below."""
    one_key, two_key = an_ec_key(), an_ec_key()
    two = Holder(certificate=signed(an_authority_draft("Two", key=two_key), by=None), key=two_key)
    one = two.issue(an_authority_draft("One", key=one_key))
    two_by_one = one.issue(an_authority_draft("Two", key=two_key))
    return (two.issue(a_device_draft(SN)).der, two_by_one.der, one.der, two_by_one.der)


def with_a_byte_changed() -> tuple[bytes, ...]:
    leaf, *above = HERON.make(SN).chain_der
    return (leaf.replace(SN.encode(), b"HD3-000099"), *above)


def der(tag: int, content: bytes) -> bytes:
    """Return a DER value of 128 to 65,535 bytes; the length is written as short as it goes, or it is no DER."""
    length = len(content).to_bytes(1 if len(content) < 256 else 2)
    return bytes([tag, 0x80 | len(length)]) + length + content


def of_version_one() -> tuple[bytes, ...]:
    """Return a leaf without version and without extensions, properly signed: what X.509 was before version 3."""
    leaf = HERON.line.issue(a_device_draft(SN, is_authority=None, usage=None)).certificate
    without_version = leaf.tbs_certificate_bytes.replace(b"\xa0\x03\x02\x01\x02", b"", 1)
    header = 2 + (without_version[1] & 0x7F)
    content = der(0x30, without_version[header:])
    assert isinstance(HERON.line.key, ec.EllipticCurvePrivateKey)
    signature = b"\x00" + HERON.line.key.sign(content, ec.ECDSA(hashes.SHA256()))
    ecdsa_with_sha256 = bytes.fromhex("300a06082a8648ce3d040302")
    signature_bits = bytes([0x03, len(signature)]) + signature
    return (der(0x30, content + ecdsa_with_sha256 + signature_bits), HERON.line.der)


def with_constraints_that_do_not_bind() -> tuple[bytes, ...]:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    return under(a_line(is_authority=None, others=((constraints, False),)))


CHEATS: dict[str, tuple[Callable[[], tuple[bytes, ...]], Fault]] = {
    "nothing at all": (lambda: (), Fault.CHAIN_LENGTH),
    "five certificates": (deep, Fault.CHAIN_LENGTH),
    "no certificate": (lambda: (b"0\x03\x02\x01\x05",), Fault.UNREADABLE),
    "nine kilobytes": (lambda: (b"0" * 9000,), Fault.UNREADABLE),
    "X.509 version 1": (of_version_one, Fault.UNREADABLE),
    "the root itself": (lambda: (HERON.root.der,), Fault.LEAF_IS_AUTHORITY),
    "the line itself": (lambda: (HERON.line.der,), Fault.LEAF_IS_AUTHORITY),
    "a leaf that is an authority": (lambda: under(a_line(), is_authority=True), Fault.LEAF_IS_AUTHORITY),
    "another maker's root": (lambda: Factory(maker="Nobody").make(SN).chain_der, Fault.ROOT_UNKNOWN),
    "a root of the same name": (with_a_root_of_the_same_name, Fault.ROOT_UNKNOWN),
    "the line left out": (lambda: HERON.make(SN).chain_der[:1], Fault.ROOT_UNKNOWN),
    "the wrong order": (lambda: tuple(reversed(HERON.make(SN).chain_der)), Fault.ROOT_UNKNOWN),
    "a loop": (in_a_loop, Fault.ROOT_UNKNOWN),
    "a line's borrowed name": (with_a_borrowed_name, Fault.ISSUER),
    "another issuer's name": (with_another_issuer_in_it, Fault.ISSUER),
    "a changed byte": (with_a_byte_changed, Fault.ISSUER),
    "a certificate twice": (lambda: (*HERON.make(SN).chain_der, HERON.line.der), Fault.ISSUER),
    "a device as an authority": (below_a_device, Fault.NOT_AN_AUTHORITY),
    "a line without basicConstraints": (lambda: under(a_line(is_authority=None)), Fault.NOT_AN_AUTHORITY),
    "a line whose basicConstraints are not critical": (with_constraints_that_do_not_bind, Fault.NOT_AN_AUTHORITY),
    "a line that is none": (lambda: under(a_line(is_authority=False)), Fault.NOT_AN_AUTHORITY),
    "a line that may not sign certificates": (
        lambda: under(a_line(usage=key_usage(signs_certificates=False))),
        Fault.KEY_USAGE,
    ),
    "a line without key usage": (lambda: under(a_line(usage=None)), Fault.KEY_USAGE),
    "a leaf that may sign certificates": (
        lambda: under(a_line(), usage=key_usage(signs_certificates=True)),
        Fault.KEY_USAGE,
    ),
    "a leaf that may not sign": (
        lambda: under(a_line(), usage=key_usage(signs_certificates=False, digital_signature=False)),
        Fault.KEY_USAGE,
    ),
    "a leaf for signing code": (
        lambda: under(a_line(), others=((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),)),
        Fault.KEY_USAGE,
    ),
    "a longer path than allowed": (beyond_the_path_length, Fault.PATH_LENGTH),
    "a line that has lapsed": (lambda: under(a_line(not_after=NOW)), Fault.NOT_IN_TIME),
    "a line of tomorrow": (lambda: under(a_line(not_before=NOW + timedelta(days=1))), Fault.NOT_IN_TIME),
    "a leaf that has lapsed": (lambda: under(a_line(), not_after=NOW - timedelta(days=1)), Fault.NOT_IN_TIME),
    "a leaf signed with SHA-224": (lambda: under(a_line(), hash=hashes.SHA224()), Fault.HASH_REFUSED),
    "a leaf on P-521": (lambda: under(a_line(), key=an_ec_key(ec.SECP521R1())), Fault.KEY_REFUSED),
    "a leaf on K-256": (lambda: under(a_line(), key=an_ec_key(ec.SECP256K1())), Fault.KEY_REFUSED),
    "a leaf with RSA 1024": (
        lambda: under(a_line(), key=RSA_1024),
        Fault.KEY_REFUSED,
    ),
    "a line with RSA 1024": (
        lambda: under(a_line(key=RSA_1024)),
        Fault.KEY_REFUSED,
    ),
    "RSA with exponent 3": (
        lambda: under(a_line(), key=rsa.generate_private_key(public_exponent=3, key_size=2048)),
        Fault.KEY_REFUSED,
    ),
    "name constraints nobody checks": (
        lambda: under(
            a_line(
                others=(
                    (x509.NameConstraints(permitted_subtrees=[x509.DNSName("heron")], excluded_subtrees=None), True),
                )
            )
        ),
        Fault.EXTENSION_REFUSED,
    ),
    "an unknown critical extension": (
        lambda: under(
            a_line(),
            others=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00"), True),),
        ),
        Fault.EXTENSION_REFUSED,
    ),
    "no serial number": (lambda: under(a_line(), serial_numbers=()), Fault.SERIAL_NUMBER),
    "two serial numbers": (lambda: under(a_line(), serial_numbers=(SN, "HD3-000018")), Fault.SERIAL_NUMBER),
}


@pytest.mark.parametrize(("chain", "fault"), CHEATS.values(), ids=CHEATS.keys())
def test_a_chain_that_cheats_is_refused_for_its_own_reason(
    chain: Callable[[], tuple[bytes, ...]], fault: Fault
) -> None:
    assert fault_of(*chain()) is fault


def test_every_fault_was_met() -> None:
    assert {fault for _, fault in CHEATS.values()} | {Fault.SIGNATURE} == set(Fault)


def test_of_two_roots_with_one_name_the_one_that_signed_is_found() -> None:
    twin = Factory()
    device = HERON.make(SN)

    assert proven(*device.chain_der, roots=(twin.root.der, HERON.root.der)).serial_number == SN


@pytest.mark.parametrize("is_lapsed_first", [True, False])
def test_of_two_roots_with_one_key_the_one_in_time_vouches(*, is_lapsed_first: bool) -> None:
    lapsed = HERON.renewed_root(not_before=NOW - timedelta(days=9), not_after=NOW).der
    roots = (lapsed, HERON.root.der) if is_lapsed_first else (HERON.root.der, lapsed)

    assert proven(*HERON.make(SN).chain_der, roots=roots).root_fingerprint == fingerprint_from_der(HERON.root.der)


def test_of_two_roots_with_one_key_in_time_the_first_vouches() -> None:
    renewed = HERON.renewed_root().der

    identity = proven(*HERON.make(SN).chain_der, roots=(renewed, HERON.root.der))

    assert identity.root_fingerprint == fingerprint_from_der(renewed)


X400_ADDRESS, EDI_PARTY_NAME = bytes.fromhex("3002a300"), bytes.fromhex("3002a500")


@pytest.mark.parametrize("general_names", [X400_ADDRESS, EDI_PARTY_NAME])
def test_a_kind_of_name_that_nobody_reads_is_refused_as_any_other_rubbish(general_names: bytes) -> None:
    odd = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, general_names)
    device = HERON.make(SN, others=((odd, False),))

    assert fault_of(*device.chain_der) == Fault.UNREADABLE


def test_a_string_of_a_kind_that_its_attribute_does_not_have_is_refused_as_any_other_rubbish() -> None:
    leaf = HERON.make(SN).holder.der
    place = leaf.index(b"Heron HD-3") - 2  # type and length of the common name
    bit_string = leaf[:place] + b"\x03" + leaf[place + 1 :]

    assert fault_of(bit_string, HERON.line.der) == Fault.UNREADABLE


def test_a_signature_that_claims_unused_bits_is_refused_although_nothing_signs_their_number() -> None:
    device = next(made for made in map(HERON.make, [SN] * 64) if made.holder.certificate.signature[-1] % 2 == 0)
    leaf = bytearray(device.holder.der)
    leaf[-len(device.holder.certificate.signature) - 1] = 1

    assert fault_of(bytes(leaf), HERON.line.der) == Fault.UNREADABLE


def test_a_root_whose_time_is_over_vouches_for_nobody() -> None:
    draft = an_authority_draft("Heron root 0", not_after=NOW)
    root = Holder(certificate=signed(draft, by=None), key=draft.key)
    device = root.issue(a_device_draft(SN))

    with pytest.raises(ChainRefusedError) as caught:
        proven(device.der, roots=(root.der,))
    assert caught.value.fault is Fault.NOT_IN_TIME


@pytest.mark.filterwarnings("ignore:Parsed a serial number", "ignore:Attribute's length")
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_single_changed_byte_goes_unnoticed(data: st.DataObject) -> None:
    chain = list(CHANGED.chain_der)
    which = data.draw(st.integers(0, len(chain) - 1))
    place = data.draw(st.integers(0, len(chain[which]) - 1))
    flipped = data.draw(st.integers(1, 255))
    altered = bytearray(chain[which])
    altered[place] ^= flipped
    chain[which] = bytes(altered)

    with pytest.raises(ChainRefusedError):
        proven(*chain)


CHANGED = HERON.make(SN)


@pytest.mark.parametrize(
    "changes",
    [
        {"is_authority": False},
        {"not_after": NOW},
        {"usage": key_usage(signs_certificates=False)},
        {"key": RSA_1024},
    ],
    ids=["no authority", "lapsed", "may not sign", "weak"],
)
def test_what_is_no_good_root_is_not_recorded(changes: dict[str, object]) -> None:
    draft = replace(an_authority_draft("Heron root 2", not_before=MADE_AT), **changes)  # type: ignore[arg-type] # each its own type

    with pytest.raises(FactoryRootRefusedError):
        anchor_from_der(signed(draft, by=None).public_bytes(Encoding.DER), now=NOW)


def test_a_good_root_is_recorded_by_its_fingerprint() -> None:
    assert (
        anchor_from_der(HERON.root.der, now=NOW).fingerprint
        == HERON.root.certificate.fingerprint(hashes.SHA256()).hex()
    )
