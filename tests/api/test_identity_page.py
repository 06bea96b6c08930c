"""What docs/identity.md says one can do, done: a pair by openssl, a token by curl and by Python."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from werkzeug.serving import make_server

from decision_service.api.application import http_application
from decision_service.api.service import Runtime
from decision_service.audit.signing import Signer
from decision_service.identity.desk import IdentityDesk, Issuer
from decision_service.identity.keys import read_keys
from decision_service.store import KeyHolder
from decision_service.vocabulary import Client
from tests.api.fakes import FakeService

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text(encoding="utf-8")
PAIR, CURL, PYTHON = re.findall(r"```(?:sh|python)\n(.*?)```", PAGE, re.DOTALL)
BANK = Client("bank-03", "Bank of the River", "bank")


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def issuer(service: FakeService) -> Iterator[str]:
    app = http_application(Runtime(service, lambda: datetime.now(UTC)), version="1")
    server = make_server("127.0.0.1", 0, app)
    url = f"http://127.0.0.1:{server.server_port}"
    signer = Signer(Ed25519PrivateKey.generate())
    service.desk = IdentityDesk(service.keys, signer, Issuer(url))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield url
    server.shutdown()
    thread.join()


@pytest.mark.skipif(not (shutil.which("openssl") and shutil.which("curl")), reason="needs openssl and curl")
def test_the_page_leads_from_a_key_pair_to_a_token(issuer: str, service: FakeService, tmp_path: Path) -> None:
    run(["sh", "-e", "-c", PAIR.splitlines()[0]], tmp_path)
    (public,) = read_keys((tmp_path / "public.pem").read_bytes())
    service.keys.holders[BANK.client_id, public.kid] = KeyHolder(BANK, public.algorithms, public.jwk, False)
    found = json.loads(run(["sh", "-e", "-c", filled(CURL, issuer, public.kid)], tmp_path))
    assert found["scope"] == "decisions:read decisions:write"
    printing = filled(PYTHON, issuer, public.kid) + "print(token)"
    token = run([sys.executable, "-c", printing], tmp_path).strip()
    caller = service.desk.caller(token, datetime.now(UTC))
    assert caller is not None and caller.client == BANK


def filled(text: str, issuer: str, kid: str) -> str:
    return text.replace("http://127.0.0.1:8080", issuer).replace("…", kid)


def run(command: list[str], folder: Path) -> str:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout
