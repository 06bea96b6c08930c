"""Joins the parts: from settings to a platform, from a platform to the HTTP application."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from flask import Flask

from decision_service import __version__, logs, tracing
from decision_service.api.access import is_known
from decision_service.api.application import http_application
from decision_service.api.batch_work import BatchFollower
from decision_service.api.limits import Limiter, Meter, RemoteMeter, SharedMeter
from decision_service.api.platform import PlatformService
from decision_service.api.requests import Told
from decision_service.api.rsgi import Handle, rsgi
from decision_service.api.service import Runtime
from decision_service.api.trust import Trust
from decision_service.audit.signing import Signer
from decision_service.card_watch import CardWatch
from decision_service.decide import Platform, business_date
from decision_service.errors import DecisionServiceError
from decision_service.identity.desk import Issuer
from decision_service.policy import Policies
from decision_service.repair_watch import RepairWatch
from decision_service.review_clock import ReviewClock
from decision_service.scoring.scorer import Scorer
from decision_service.settings import Settings
from decision_service.store import Store
from decision_service.webhooks.follow import WebhookFollower
from decision_service.webhooks.reach import Promptly, Reach
from decision_service.webhooks.sending import Sender
from decision_service.workbench.challenger import ChallengerFollower
from decision_service.workbench.model_watch import ModelWatch
from decision_service.workbench.shadow_follow import ShadowFollower

log = logging.getLogger(__name__)
METER = "requests.meter"
"""The file in the folder of the metrics by which workers count requests together."""
STOP_SECONDS = 5
"""What a worker that is told to stop has left for the requests it holds."""


def build_platform(settings: Settings) -> Platform:
    """Open everything a decision needs. Models load on first use, engines on the first decision.

    Raises ``StoreError``, ``AuditError`` (the log's key).
    """
    signer = Signer.open(settings.log_key)
    store = Store.open(settings.database_url, signer.public.receipt_is_valid)
    policies = Policies(store)
    return Platform(
        store=store,
        policies=policies,
        scorer=Scorer(settings.tracking_uri, alias=settings.model_alias, places=policies.model_inputs),
        signer=signer,
        code_version=__version__,
    )


def create_app(settings: Settings, platform: Platform | None = None, told: Told | None = None) -> Flask:
    """The HTTP application over a platform (by default the one that the settings describe). ``told`` logs requests."""
    platform = platform or build_platform(settings)
    issuer = Issuer(settings.issuer, settings.token_seconds)
    reach = replace(Reach.from_environ(os.environ), resolve=Promptly())
    return http_application(
        Runtime(PlatformService(platform, reach, issuer), utc_now),
        version=__version__,
        shared_metrics=settings.metrics_folder,
        limiter=limiter(settings, platform.store),
        told=told,
        trust=Trust(settings.static_keys, settings.trusted_proxies),
    )


def limiter(settings: Settings, store: Store) -> Limiter | None:
    """What counts requests: over the workers of this machine, or by a URL over several. Raises ``InputError``."""
    if settings.quotas is None:
        return None
    folder = settings.metrics_folder
    meter: Meter = SharedMeter(None if folder is None else Path(folder) / METER)
    if settings.limits_url is not None:
        meter = RemoteMeter(settings.limits_url, meter)
    return Limiter(settings.quotas, meter=meter, own=store.quotas)


def served() -> Handle:
    """What granian runs: settings from the environment, everything loaded before the first request."""
    follow_parent()
    settings = Settings.from_environ(os.environ)
    logs.configure(settings.log_format)
    if settings.traces_url is not None:
        tracing.configure(settings.traces_url, __version__)
    platform = build_platform(settings)
    warm_up(platform)
    app = create_app(settings, platform, told=logs.request_line)
    metrics = app.extensions["decision_service_metrics"]
    ShadowFollower(platform, utc_now, metrics.shadowed).start()
    ChallengerFollower(platform, utc_now).start()
    ModelWatch(platform, metrics.model, utc_now).start()
    BatchFollower(platform, utc_now, is_busy=metrics.is_busy, counted=metrics.batched).start()
    ReviewClock(platform, utc_now).start()
    CardWatch(platform, utc_now).start()
    RepairWatch(platform, utc_now, metrics.repairs_late, metrics.repairs_told_late).start()
    WebhookFollower(platform, utc_now, Sender(Reach.from_environ(os.environ))).start()
    handle = rsgi(app, app.extensions["decision_service_turnstile"], is_known=partial(is_known, app))
    gc.collect()
    gc.freeze()  # what lives as long as the process is not searched again and again for garbage
    return handle


def follow_parent() -> None:
    """Let the parent process alone tell a worker when to stop, and stop when the parent is gone."""
    # Ctrl-C reaches the whole process group; the parent passes it on as SIGTERM, and a worker told twice hangs.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_stop_after, args=(parent.join,), name="parent", daemon=True).start()


def _stop_after(parent_ends: Callable[[], None]) -> None:
    parent_ends()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os._exit(1)  # whatever still runs was not answered


def warm_up(platform: Platform) -> None:
    """Compile the rules and load the models now; what fails is told by ``/readyz`` and ``/v1/models``."""
    try:
        policy = platform.policies.current()
        policy.prepare(business_date(utc_now()))
    except DecisionServiceError as error:
        log.warning("no rules are ready: %s", error)
        return
    platform.scorer.versions(policy.models)


def utc_now() -> datetime:
    """The present moment, aware."""
    return datetime.now(UTC)
