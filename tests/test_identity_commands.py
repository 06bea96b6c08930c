"""Commands about clients' public keys and certificates, and the settings of tokens."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from decision_service.cli import main
from decision_service.errors import InputError
from decision_service.settings import Settings
from tests.api.signing import Signatory


class Home:
    """Runs commands on a store of its own; nothing here needs rules."""

    def __init__(self, folder: Path) -> None:
        self.environ = {"DECISION_HOME": str(folder)}

    def run(self, *arguments: str, **environ: str) -> Any:
        result = CliRunner().invoke(main, arguments, env={**self.environ, **environ})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *arguments: str, **environ: str) -> Any:
        result = self.run(*arguments, "--json", **environ)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def bank(home: Home) -> str:
    added = home.json("clients", "add", "--name", "Bank", "--kind", "bank", "--id", "bank-03", "--no-key")
    assert added == {"client_id": "bank-03", "key": None}
    return "bank-03"


@pytest.fixture
def public(tmp_path: Path) -> Path:
    file = tmp_path / "public.pem"
    file.write_bytes(Signatory.new("bank-03").pem)
    return file


def test_a_key_is_added_listed_rotated_and_revoked(home: Home, bank: str, public: Path, tmp_path: Path) -> None:
    (first,) = home.json("clients", "keys", "add", bank, str(public))
    public.write_bytes(Signatory.new(bank, "ES256").pem)
    (second,) = home.json("clients", "keys", "add", bank, str(public), "--kid", "2026-q4")
    assert (first["algorithms"], second["algorithms"], second["kid"]) == ("EdDSA Ed25519", "ES256", "2026-q4")
    assert home.run("clients", "keys", "revoke", bank, first["kid"]).exit_code == 0
    again = home.run("clients", "keys", "revoke", bank, first["kid"])
    assert again.exit_code == 1 and "was revoked before" in again.stderr
    found = home.json("clients", "keys", "list", bank)
    assert [(one["kid"], one["revoked_at"] is None) for one in found] == [(first["kid"], False), ("2026-q4", True)]
    assert "d" not in found[0]["jwk"]
    assert "2026-q4" in home.run("clients", "keys", "list", bank).stdout


def test_what_cannot_be_registered_is_said_with_its_file_and_the_remedy(home: Home, bank: str, public: Path) -> None:
    home.json("clients", "keys", "add", bank, str(public))
    twice = home.run("clients", "keys", "add", bank, str(public))
    assert twice.exit_code == 2 and "this key is registered already" in twice.stderr
    assert home.run("clients", "keys", "add", "nobody", str(public)).exit_code == 2
    assert home.run("clients", "keys", "revoke", bank, "nothing").exit_code == 2
    bad = home.run("clients", "keys", "add", bank, str(public), "--kid", "a b")
    assert bad.exit_code == 2 and "--kid" in bad.stderr
    public.write_bytes(Signatory.new(bank).private.as_pem(private=True))
    refused = home.run("clients", "keys", "add", bank, str(public))
    assert refused.exit_code == 2
    assert f"{public}: this is a private key" in refused.stderr and "openssl pkey" in refused.stderr


def test_a_bound_client_has_no_bearer_key(home: Home) -> None:
    added = home.json("clients", "add", "--name", "Bank", "--kind", "bank", "--bind-certificate")
    assert added["key"] is None
    assert home.json("clients", "list")[0]["bound"] is True
    assert home.run("clients", "bind", added["client_id"], "--off").exit_code == 0
    assert home.json("clients", "list")[0]["bound"] is False
    assert home.run("clients", "bind", "nobody").exit_code == 2


def test_where_keys_are_turned_off_none_is_shown(home: Home) -> None:
    arguments = ("clients", "add", "--name", "Bank", "--kind", "bank")
    assert home.json(*arguments, DECISION_STATIC_KEYS="off")["key"] is None
    assert home.json(*arguments)["key"].startswith("dsk_")


GOOD: dict[str, tuple[dict[str, str], str, Any]] = {
    "the issuer is where the service listens": ({}, "issuer", "http://127.0.0.1:8080"),
    "on another port": ({"DECISION_PORT": "9000"}, "issuer", "http://127.0.0.1:9000"),
    "on IPv6": ({"DECISION_HOST": "::1"}, "issuer", "http://[::1]:8080"),
    "an address of its own": ({"DECISION_ISSUER": "https://credit.example"}, "issuer", "https://credit.example"),
    "keys count": ({}, "static_keys", True),
    "keys do not count": ({"DECISION_STATIC_KEYS": "off"}, "static_keys", False),
    "ten minutes": ({}, "token_seconds", 600),
    "no proxy": ({}, "trusted_proxies", ()),
    "proxies": (
        {"DECISION_TRUSTED_PROXIES": "10.0.0.7 fd00::/64"}, "trusted_proxies",
        (ip_network("10.0.0.7"), ip_network("fd00::/64")),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("environ", "name", "value"), GOOD.values(), ids=GOOD.keys())
def test_settings_of_tokens_are_read(environ: dict[str, str], name: str, value: Any) -> None:
    assert getattr(Settings.from_environ(environ), name) == value


BAD = {
    "an issuer over http": ("DECISION_ISSUER", "http://credit.example"),
    "an issuer with a path": ("DECISION_ISSUER", "https://credit.example/v1"),
    "an issuer with a slash": ("DECISION_ISSUER", "https://credit.example/"),
    "an issuer in capitals": ("DECISION_ISSUER", "https://Credit.example"),
    "an issuer with a user": ("DECISION_ISSUER", "https://a@credit.example"),
    "an empty issuer": ("DECISION_ISSUER", ""),
    "tokens for a day": ("DECISION_TOKEN_SECONDS", "86400"),
    "tokens for no time": ("DECISION_TOKEN_SECONDS", "0"),
    "keys perhaps": ("DECISION_STATIC_KEYS", "maybe"),
    "a proxy by name": ("DECISION_TRUSTED_PROXIES", "proxy.example"),
    "a network with bits of a host": ("DECISION_TRUSTED_PROXIES", "10.0.0.7/24"),
}


@pytest.mark.parametrize(("name", "value"), BAD.values(), ids=BAD.keys())
def test_settings_that_cannot_be_used_are_named(name: str, value: str) -> None:
    with pytest.raises(InputError, match=name):
        Settings.from_environ({name: value})
