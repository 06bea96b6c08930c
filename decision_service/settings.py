"""Everything that is set from outside: one frozen dataclass, read once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from decision_service.errors import InputError
from decision_service.quotas import DEFAULTS, OFF, Quota, parsed

DEFAULT_TRACKING_URI = "sqlite:///mlruns/mlflow.db"
MAX_WORKERS = 64
TOKEN_SECONDS, MAX_TOKEN_SECONDS = 600, 3_600
_ORIGIN = re.compile(r"https://[a-z0-9.-]+(:[0-9]{1,5})?|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where state, models and rules are, and how to serve. ``metrics_folder`` adds up workers' metrics.

    ``issuer`` is the address by which clients know the service; ``static_keys``: keys count beside access tokens.
    """

    home: Path
    database_url: str
    tracking_uri: str
    rules: Path
    model_alias: str
    host: str
    port: int
    workers: int
    metrics_folder: str | None
    quotas: Mapping[str, Quota] | None
    limits_url: str | None
    log_format: str
    issuer: str
    token_seconds: int
    static_keys: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    traces_url: str | None = None

    @property
    def log_key(self) -> Path:
        """The log's private key."""
        return self.home / "log-key.pem"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the settings; raises ``InputError`` naming the variable, what is wrong and an example."""
        home = Path(_text(environ, "DECISION_HOME", "var"))
        if home.exists() and not home.is_dir():
            raise InputError(f"{home} is not a folder", where="DECISION_HOME", remedy="name a folder, such as var")
        database = f"sqlite:///{home.absolute()}/decisions.db"
        host = _matching(environ, "DECISION_HOST", "127.0.0.1", r"[A-Za-z0-9.:-]{1,255}|\[[0-9A-Fa-f:.]+\]")
        port = _number(environ, "DECISION_PORT", 8080, most=65_535)
        return cls(
            home=home,
            database_url=_uri(environ, "DECISION_DATABASE_URL", database),
            tracking_uri=_uri(environ, "MLFLOW_TRACKING_URI", DEFAULT_TRACKING_URI),
            rules=Path(_text(environ, "DECISION_RULES", "rules")),
            model_alias=_matching(environ, "DECISION_MODEL_ALIAS", "champion", r"[A-Za-z][A-Za-z0-9_-]{0,63}"),
            host=host,
            port=port,
            workers=_number(environ, "DECISION_WORKERS", min(4, os.cpu_count() or 1), most=MAX_WORKERS),
            metrics_folder=environ.get("PROMETHEUS_MULTIPROC_DIR") or None,
            quotas=_quotas(environ),
            log_format=_matching(environ, "DECISION_LOG_FORMAT", "json", "json|text"),
            issuer=_issuer(environ, host, port),
            token_seconds=_number(environ, "DECISION_TOKEN_SECONDS", TOKEN_SECONDS, most=MAX_TOKEN_SECONDS),
            static_keys=_matching(environ, "DECISION_STATIC_KEYS", "on", "on|off") == "on",
            trusted_proxies=_networks(environ),
            traces_url=_uri(environ, "DECISION_TRACES_URL", "") if environ.get("DECISION_TRACES_URL") else None,
            limits_url=_uri(environ, "DECISION_LIMITS_URL", "memory://") if "DECISION_LIMITS_URL" in environ else None,
        )

    def environ(self) -> dict[str, str]:
        """The same settings as environment variables, for a process of one's own."""
        return {
            "DECISION_HOME": str(self.home.absolute()),
            "DECISION_DATABASE_URL": self.database_url,
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DECISION_RULES": str(self.rules.absolute()),
            "DECISION_MODEL_ALIAS": self.model_alias,
            "DECISION_HOST": self.host,
            "DECISION_PORT": str(self.port),
            "DECISION_WORKERS": str(self.workers),
            "DECISION_LOG_FORMAT": self.log_format,
        }


def _quotas(environ: Mapping[str, str]) -> Mapping[str, Quota] | None:
    """``None`` when nothing is limited."""
    text = environ.get("DECISION_LIMITS", "")
    return None if text.strip() == OFF else {**DEFAULTS, **parsed(text.split(), "DECISION_LIMITS")}


def _issuer(environ: Mapping[str, str], host: str, port: int) -> str:
    """An origin and nothing behind it: what clients compare letter by letter must have one spelling."""
    bare = host.strip("[]")
    default = f"http://{f'[{bare}]' if ':' in bare else bare}:{port}"
    value = _text(environ, "DECISION_ISSUER", default)
    if value != default and not _ORIGIN.fullmatch(value):
        raise InputError(
            f"{ascii(value[:80])} is not an https origin in small letters, without a path or a slash at its end",
            where="DECISION_ISSUER",
            remedy="give a value such as https://credit.example",
        )
    return value


def _networks(environ: Mapping[str, str]) -> tuple[IPv4Network | IPv6Network, ...]:
    texts = environ.get("DECISION_TRUSTED_PROXIES", "").split()
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        remedy = "give addresses or networks with spaces between, such as 10.0.0.7 10.1.0.0/24"
        raise InputError(str(error), where="DECISION_TRUSTED_PROXIES", remedy=remedy) from error


def _text(environ: Mapping[str, str], name: str, default: str) -> str:
    value = environ.get(name, default)
    if not value.strip() or "\x00" in value:
        raise InputError("it is empty", where=name, remedy=f"unset it, or give a value such as {default}")
    return value


def _matching(environ: Mapping[str, str], name: str, default: str, pattern: str) -> str:
    value = _text(environ, name, default)
    if not re.fullmatch(pattern, value):
        raise InputError(f"{value!r} is not usable", where=name, remedy=f"give a value such as {default}")
    return value


def _uri(environ: Mapping[str, str], name: str, default: str) -> str:
    value = _text(environ, name, default)
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*:/.*", value):
        # Never shown: a database URL may hold a password.
        raise InputError("it is not a URL", where=name, remedy=f"give a URL such as {default}")
    return value


def _number(environ: Mapping[str, str], name: str, default: int, *, most: int) -> int:
    value = _text(environ, name, str(default))
    if not re.fullmatch(r"[0-9]{1,6}", value) or not 1 <= int(value) <= most:
        raise InputError(f"{value!r} is not a number from 1 to {most}", where=name, remedy=f"such as {default}")
    return int(value)
