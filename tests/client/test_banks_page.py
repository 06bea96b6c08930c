"""The page for banks is run as it stands: its commands in a shell, its Python as one program, on a served platform."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from decision_service.app import utc_now
from decision_service.commands.persons import os_user
from decision_service.identity.keys import read_keys
from decision_service.store import ClientKey
from decision_service_client import errors
from tests.client.served import Served, blocks, listening

PAGE = (Path(__file__).parents[2] / "docs" / "banks.md").read_text(encoding="utf-8")


def registered(served: Served, file: Path) -> str:
    """The id of a new key pair, whose private half is in the file."""
    private = Ed25519PrivateKey.generate()
    file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (public,) = read_keys(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    key = ClientKey(public.kid, public.algorithms, public.thumbprint, public.jwk, utc_now())
    served.platform.store.client_keys().add(served.bank.client_id, key, os_user())
    return public.kid


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def environ(served: Served, keys: Path) -> Iterator[dict[str, str]]:
    known = {"CLIENT_ID": served.bank.client_id, "KID": registered(served, keys / "client-key.pem")}
    with listening(served) as url:
        yield {**os.environ, **known, "URL": url, "KEY": served.key, "LOG_KEY": served.public_key}


def test_the_commands_run_and_decide(environ: dict[str, str], tmp_path: Path) -> None:
    for block in blocks(PAGE, "sh"):
        run = ["bash", "-euo", "pipefail", "-c", block]
        done = subprocess.run(run, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    decision = json.loads((tmp_path / "decision.json").read_text())
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert decision["outcome"] == "APPROVE" and proof["decision_id"] == decision["decision_id"]


def test_the_program_runs_from_its_first_line_to_its_last(
    environ: dict[str, str], keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("URL", "KEY", "LOG_KEY", "CLIENT_ID", "KID"):
        monkeypatch.setenv(name, environ[name])
    monkeypatch.chdir(keys)
    program: dict[str, object] = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block, "docs/banks.md", "exec"), program)
    assert capsys.readouterr().out.startswith("JULY-1 APPROVE\nJULY-2 APPROVE\n")


def test_the_page_names_every_exception() -> None:
    kinds = [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert [name for name in kinds if f"`{name}`" not in PAGE] == []
