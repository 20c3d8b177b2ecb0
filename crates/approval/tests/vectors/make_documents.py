#!/usr/bin/env python3
"""Computes documents.json from the text of the protocol alone (no code of this repository).

Encoding: fr(x) = u32be(len) || x; H(domain; f1..fn) = SHA-256(fr(domain) || u32be(n) || fr(f1)..fr(fn));
integers u64be, times in seconds, text NFC UTF-8, a list is u32be(count) || fr(item)...
Tree: RFC 6962 section 2.1.
"""
import base64, hashlib, json, struct, sys, unicodedata


def fr(x):
    return struct.pack(">I", len(x)) + x


def text(t):
    return unicodedata.normalize("NFC", t).encode()


def number(n):
    return struct.pack(">Q", n)


def texts(items):
    return struct.pack(">I", len(items)) + b"".join(fr(text(i)) for i in items)


def H(domain, *fields):
    octets = fr(domain.encode()) + struct.pack(">I", len(fields)) + b"".join(map(fr, fields))
    return hashlib.sha256(octets).digest()


def leaf(d):
    return hashlib.sha256(b"\x00" + d).digest()


def node(a, b):
    return hashlib.sha256(b"\x01" + a + b).digest()


assert H("azukari/test/v1", b"a", b"", number(5)).hex() == (
    "9a6af7f4e3024d0f8f9486a13bd6f399049a9c68dff349dd7b6885b0a5625122")

SHA256 = "2.16.840.1.101.3.4.2.1"
ds = [H("azukari/document/v1", text("prescription"), text(SHA256),
        bytes([0x10 + n]) * 32, bytes([0x20 + n]) * 32) for n in range(3)]
left, last = node(leaf(ds[0]), leaf(ds[1])), leaf(ds[2])
root = node(left, last)

place = [text("1310000001"), text("テスト病院"), b"\x03" * 32, text("t1"), text("第1診察室"),
         b"\x04" * 16, b"\x05" * 16]
head = [text("https://platform.test"), text("localhost"), b"\x01" * 16, b"\x02" * 32]
documents = H("azukari/approve/documents/v1", *head, *place, texts(["prescription"]), number(3), root,
              number(1180))
session = H("azukari/approve/session/v1", *head, *place, texts(["dispensing", "prescription"]),
            number(300), number(1000), number(65800), number(7), b"\x08" * 32)
link = H("azukari/approve/link/v1", text("https://platform.test"), text("localhost"), b"\x01" * 16,
         b"\x02" * 16, b"\x03" * 32, b"\x04" * 16, b"\x05" * 16, b"\x06" * 32)

json.dump({
    "commitments": [d.hex() for d in ds],
    "root": root.hex(),
    "path_of_first": [leaf(ds[1]).hex(), last.hex()],
    "path_of_last": [left.hex()],
    "short_code": base64.b32encode(root[:5]).decode(),
    "challenge": documents.hex(),
    "session_challenge": session.hex(),
    "link_challenge": link.hex(),
}, sys.stdout, indent=1)
print()
