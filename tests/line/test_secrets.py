"""A secret in every place where one may be: nothing of it is written, kept in Dagster's database, or said."""

from __future__ import annotations

import os
import sqlite3
import uuid
from pathlib import Path

import pytest
from support.toys import Toy

from studio_pipeline.schema.errors import InputError, StudioError
from studio_pipeline.schema.secrets import hide_secrets

# Where a user puts them: the variables that the product reads. A part that is new adds its own here.
NAMED = ("RUNWAYML_API_SECRET", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "STUDIO_PG_PASSWORD")
ADDRESSES = {
    "STUDIO_BROKER_URL": "amqp://studio:{}@broker.example:5672//",
    "STUDIO_HOOK_URL": "http://127.0.0.1:9/services/{}",  # nobody listens there
}


def planted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put one into every variable; gives them."""
    secrets = []
    for name in (*NAMED, *ADDRESSES):
        secret = f"planted-{uuid.uuid4().hex}"
        secrets.append(secret)
        monkeypatch.setenv(name, ADDRESSES.get(name, "{}").format(secret))
    return secrets


def written(root: Path) -> bytes:
    """Every byte of every file, and every value of every database as text: a page of SQLite may split a word."""
    found = []
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        found.append(data)
        if data[:15] == b"SQLite format 3":
            with sqlite3.connect(path) as database:
                found += [line.encode(errors="replace") for line in database.iterdump()]
    return b"\n".join(found)


def quoting(context: object) -> None:
    """What libraries do: the error quotes what they were given."""
    everything = " ".join(os.environ[name] for name in (*NAMED, *ADDRESSES))
    raise RuntimeError(f"could not connect with {everything}")


@pytest.mark.slow
def test_no_secret_is_written_kept_or_said(delivering: Toy, hands, shots, tmp_path: Path, monkeypatch) -> None:
    secrets = planted(monkeypatch)
    shots()
    said = [*hands("run", "shots.yaml", "--json")]
    delivering.during["rig"] = quoting
    shots("  stages: {rig: {gain: 2}}\n")
    code, *printed = hands("run", "shots.yaml")
    assert code == 1 and "could not connect" in "".join(printed)
    said += [*printed, *hands("status"), *hands("retry"), *hands("why", "toy_a_0010", "rig"), *hands("verify")]
    said += [*hands("history", "toy_a_0010"), *hands("provenance", "toy_a_0010", "--json")]
    everything = written(tmp_path) + "\n".join(map(str, said)).encode()
    assert b"could not connect" in everything and b"(hidden)" in everything and len(everything) > 50_000
    for secret in secrets:
        assert secret.encode() not in everything


def test_what_is_hidden_and_what_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = planted(monkeypatch)
    line = "; ".join(f"{name} is {os.environ[name]}" for name in (*NAMED, *ADDRESSES))
    hidden = hide_secrets(line)
    assert not [secret for secret in secrets if secret in hidden]
    assert "broker.example:5672" in hidden and "STUDIO_PG_PASSWORD is (hidden)" in hidden
    assert hide_secrets("amqp://other:unknown@host/x") == "amqp://(hidden)@host/x"
    plain = "http://host:80/a@b, 3:4@5, user@host, shots.yaml:3"
    assert hide_secrets(plain) == plain
    monkeypatch.setenv("SHORT_PASSWORD", "studio")
    assert hide_secrets("studio: a line") == "studio: a line"
    error = InputError(f"refused {secrets[0]}", where=os.environ["STUDIO_BROKER_URL"])
    assert secrets[0] not in str(error) and "planted" not in str(error) and isinstance(error, StudioError)
