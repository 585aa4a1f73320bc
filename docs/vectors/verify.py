#!/usr/bin/env python3
"""Checks the chain of exports by docs/formats.md, with nothing but Python's standard library.

    python3 docs/vectors/verify.py                 checks every test vector beside this file
    python3 docs/vectors/verify.py EXPORT.jsonl …  checks exports

It does not check signatures (Ed25519 is not in the standard library), so it never says more than "consistent".
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

TERMINAL = {"task.completed": "completed", "task.failed": "failed", "task.cancelled": "cancelled"}


class Broken(Exception):
    def __init__(self, seq, why):
        super().__init__(f"event {seq}: {why}" if seq else why)
        self.seq = seq


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def envelope(event):
    """The canonical JSON of an event without hash and payload: all names are ASCII and all numbers integers."""
    members = {name: value for name, value in event.items() if name not in ("hash", "salt", "data")}
    return json.dumps(members, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def claims(jws):
    """The claims of a compact JWS, its signature unchecked."""
    part = jws.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def check(text):
    """Raises Broken, or returns the number of events and the list of missing payloads."""
    seq, prev, last, missing, count, ended = 0, None, None, [], 0, False
    # Not splitlines(): that would also cut at U+2028, which JSON strings may contain.
    for line in text.split("\n"):
        if not line.strip():
            continue
        event = json.loads(line)
        if "anchor" in event:
            anchor = claims(event["anchor"])
            seq, prev = anchor["seq"], bytes.fromhex(anchor["hash"])
            last = {"stream": anchor["stream"], "tenant": anchor["tenant"], "ts": ""}
            continue
        if "receipt" in event:
            receipt = claims(event["receipt"])
            if count and receipt["last_seq"] > seq:
                raise Broken(seq + 1, "missing, by the receipt")
            if count and (
                receipt["chain_root"] != last["hash"]
                or receipt["result_hash"] != last["data_hash"]
                or receipt["state"] != TERMINAL.get(last["type"])
                or receipt["task"] != last["stream"]
                or receipt["tenant"] != last["tenant"]
                or receipt["finished_at"] != last["ts"]
                or receipt["last_seq"] != seq
            ):
                raise Broken(seq, "the receipt is of another history")
            continue
        unknown = set(event) - set("actor body_v data data_hash hash salt seq stream tenant trace ts type v".split())
        if unknown:
            raise Broken(seq + 1, f"unknown members {unknown}")
        if prev is None:
            prev = sha256(b"everloop/v1/", event["stream"].encode())
        if last and (event["stream"], event["tenant"]) != (last["stream"], last["tenant"]):
            raise Broken(seq + 1, "another stream or tenant")
        if ended:
            raise Broken(seq + 1, "after the terminal event")
        if event["seq"] != seq + 1:
            raise Broken(seq + 1, "missing")
        if sha256(prev, envelope(event)).hex() != event["hash"]:
            raise Broken(seq + 1, "the hash does not match")
        if last and event["ts"] < last["ts"]:
            raise Broken(seq + 1, "older than the event before")
        if "data" in event:
            # `data` is the last member, and no JSON string can contain this text with bare quotes.
            data = line.strip()[line.strip().index(',"data":') + 8 : -1].encode()
            if event["salt"] != event["salt"].lower():
                raise Broken(seq + 1, "hexadecimal digits are lower case")
            if sha256(bytes.fromhex(event["salt"]), data).hex() != event["data_hash"]:
                raise Broken(seq + 1, "the payload was altered")
            if event["type"] == "digest" and event["data"] != {"hash": prev.hex(), "upto_seq": seq}:
                raise Broken(seq + 1, "the digest does not match")
        else:
            missing.append(event["seq"])
        seq, prev, last, count = event["seq"], bytes.fromhex(event["hash"]), event, count + 1
        ended = event["stream"].startswith("task_") and event["type"] in TERMINAL
    return count, missing


def vectors(folder):
    read = lambda name: (folder / name).read_bytes().decode()
    for name in ("finished", "trimmed", "payloads-gone", "receipt-only", "unfinished"):
        check(read(f"{name}.jsonl"))
    for row in json.loads(read("tampered.json")):
        if row["seq"] is None:
            continue  # Only the signature is wrong.
        try:
            check(read(row["file"]))
        except Broken as error:
            assert error.seq == row["seq"], (row, error)
        else:
            raise AssertionError(f"{row['file']} was not found to be broken")
    v = json.loads(read("digests.json"))
    secret = bytes.fromhex(v["request"]["tenant_secret"])
    blob = v["blob"]["bytes"].encode()
    for found, expected in (
        (sha256(b"everloop/v1/", v["genesis"]["stream"].encode()), v["genesis"]["hash"]),
        (sha256(v["intent"]["arguments"].encode()), v["intent"]["intent"]),
        (
            sha256(b"everloop/step/v1/", v["step"]["task"].encode(), b"/", v["step"]["step"].encode()),
            v["step"]["idempotency_key"],
        ),
        (
            sha256(
                b"everloop/key/v1/", v["key"]["tenant"].encode(), b"/", v["key"]["namespace"].encode(), b"\0",
                v["key"]["key"].encode(),
            )[:16],
            v["key"]["hash"],
        ),
        (
            hmac.digest(secret, b"everloop/request/v1/" + v["request"]["request"].encode(), "sha256"),
            v["request"]["hash"],
        ),
        (sha256(blob), v["blob"]["sha256"]),
        (hmac.digest(secret, b"everloop/blob/v1/" + sha256(blob), "sha256"), v["blob"]["id"]),
        (sha256(bytes.fromhex(v["blob"]["salt"]), sha256(blob)), v["blob"]["hash"]),
    ):
        assert found.hex() == expected, expected
    print("every vector is as docs/formats.md says (signatures were not checked)")


def main(files):
    if not files:
        return vectors(pathlib.Path(__file__).parent)
    for name in files:
        try:
            count, missing = check(pathlib.Path(name).read_bytes().decode())
        except Broken as error:
            sys.exit(f"{name}: {error}")
        gone = f", payloads gone: {missing}" if missing else ""
        print(f"{name}: {count} events, consistent (signatures were not checked){gone}")


if __name__ == "__main__":
    main(sys.argv[1:])
