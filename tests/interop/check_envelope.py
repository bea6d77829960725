#!/usr/bin/env python3
"""Checks a manifest and an envelope with a COSE library that knows nothing of Posthouse.

    check_envelope.py MANIFEST ENVELOPE [--origin DOMAIN] [--destination DOMAIN]

Both files hold the signed container as it crossed the wire. The rules are those of spec/encoding.md, spec/identity.md and
spec/envelope.md. It ends with 0 only if everything holds, and if everything fails once a byte is another.
"""

import argparse
import hashlib
import sys
from pathlib import Path

import cbor2
from pycose.algorithms import EdDSA
from pycose.headers import KID, Algorithm
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

MANIFEST = b"posthouse/manifest/1"
ENVELOPE = b"posthouse/envelope/1"

# Keys of the records in spec/posthouse.cddl.
M_DOMAIN, M_ROOT, M_NODES = 1, 4, 7
NODE_KEY, NODE_NOT_BEFORE, NODE_NOT_AFTER = 1, 2, 3
E_VERSION, E_ORIGIN, E_DESTINATION, E_CLASS, E_INCARNATION, E_FIRST, E_CREATED, E_ITEMS = range(1, 9)
ITEMS_OF_CLASS = {1: {3, 4, 6}, 2: {1, 2, 5}}


class Wrong(Exception):
    """What was read is not what the specification says."""


def need(holds, why):
    if not holds:
        raise Wrong(why)


def canonical(data):
    """A value whose bytes are its only encoding."""
    try:
        value = cbor2.loads(data)
    except Exception as error:
        raise Wrong(f"no CBOR: {error}") from error
    need(cbor2.dumps(value, canonical=True) == data, "the bytes are not canonical")
    return value


def signed(container, label):
    """The payload of a container and who signed it; pycose checks the signature."""
    parts = canonical(container)
    need(isinstance(parts, list) and len(parts) == 4, "no array of four")
    need(parts[1] == {}, "the unprotected header is not empty")
    message = Sign1Message.from_cose_obj(list(parts), allow_unknown_attributes=False)
    need(set(message.phdr) == {Algorithm, KID}, f"the protected header holds {message.phdr}")
    need(message.phdr[Algorithm] is EdDSA, "the algorithm is not EdDSA")
    kid = message.phdr[KID]
    need(len(kid) == 32, "kid is no public key")
    message.key = OKPKey(crv=Ed25519, x=kid)
    message.external_aad = label
    need(message.verify_signature(), "the signature does not hold")
    return canonical(parts[2]), kid


def check_manifest(container):
    manifest, kid = signed(container, MANIFEST)
    need(manifest[M_ROOT] == kid, "the manifest is not signed by its root key")
    return manifest


def check_envelope(container, manifest):
    envelope, kid = signed(container, ENVELOPE)
    created = envelope[E_CREATED]
    good = [
        node[NODE_KEY]
        for node in manifest[M_NODES]
        if node[NODE_NOT_BEFORE] <= created <= node[NODE_NOT_AFTER]
    ]
    need(kid in good, "kid is no node of the manifest at that time")
    need(envelope[E_VERSION] == 1, "another version")
    need(envelope[E_ORIGIN] == manifest[M_DOMAIN], "the origin is not the manifest's domain")
    need(len(envelope[E_INCARNATION]) == 16, "the incarnation")
    need(envelope[E_FIRST] >= 1 and len(envelope[E_ITEMS]) >= 1, "no items, or no position")
    for item in envelope[E_ITEMS]:
        kind, _ = canonical(item)
        need(kind in ITEMS_OF_CLASS[envelope[E_CLASS]], f"item {kind} on lane {envelope[E_CLASS]}")
    return envelope


def must_fail(what, check, *args):
    """Everything that a changed byte may lead to is a refusal; only success is wrong."""
    try:
        check(*args)
    except Exception:
        return
    raise Wrong(f"{what} passed")


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def check_refusals(manifest_bytes, envelope_bytes, manifest):
    for name, data, check in [
        ("manifest", manifest_bytes, check_manifest),
        ("envelope", envelope_bytes, lambda data: check_envelope(data, manifest)),
    ]:
        # Every byte of the headers and the signature, and some of what lies between.
        step = max(1, len(data) // 200)
        for at in {*range(48), *range(48, len(data), step), *range(len(data) - 64, len(data))}:
            must_fail(f"the {name} with byte {at} changed", check, flipped(data, at))
    must_fail("the envelope under the manifest's label", signed, envelope_bytes, MANIFEST)
    must_fail("the manifest under the envelope's label", signed, manifest_bytes, ENVELOPE)
    stranger = dict(manifest)
    stranger[M_NODES] = []
    must_fail("the envelope of a node that is not listed", check_envelope, envelope_bytes, stranger)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("envelope", type=Path)
    parser.add_argument("--origin")
    parser.add_argument("--destination")
    args = parser.parse_args()
    manifest_bytes, envelope_bytes = args.manifest.read_bytes(), args.envelope.read_bytes()
    try:
        manifest = check_manifest(manifest_bytes)
        envelope = check_envelope(envelope_bytes, manifest)
        need(args.origin in (None, envelope[E_ORIGIN]), f"it comes from {envelope[E_ORIGIN]}")
        need(args.destination in (None, envelope[E_DESTINATION]), f"it is for {envelope[E_DESTINATION]}")
        check_refusals(manifest_bytes, envelope_bytes, manifest)
    except Exception as wrong:
        print(f"{args.envelope}: {type(wrong).__name__}: {wrong}", file=sys.stderr)
        return 1
    payload = cbor2.loads(envelope_bytes)[2]
    print(
        f"{args.envelope.name}: {envelope[E_ORIGIN]} to {envelope[E_DESTINATION]}, lane {envelope[E_CLASS]}, "
        f"{len(envelope[E_ITEMS])} items from {envelope[E_FIRST]}, id {hashlib.sha256(payload).hexdigest()}: it holds"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
