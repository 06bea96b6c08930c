"""What owners do with their webhooks: the store's part, the check of addresses, and the secrets to hand out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from decision_service.audit.signing import Signer
from decision_service.store import Asked, NewWebhook, Store, Webhook, WebhookKey, Webhooks
from decision_service.webhooks.follow import secret_of
from decision_service.webhooks.reach import Reach


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """Webhooks of a store, whose secrets follow from the key of ``signer``."""

    store: Store
    signer: Signer
    reach: Reach

    @property
    def kept(self) -> Webhooks:
        """The store's part."""
        return self.store.webhooks()

    def add(self, new: NewWebhook, now: datetime) -> tuple[Webhook, str, bool]:
        """A webhook, what its receiver verifies signatures by, and whether it had been made before.

        Raises ``InputError`` for an address that is never sent to, ``IdempotencyConflict``.
        """
        if self.kept.made(new) is None:
            self.reach.check(new.url)  # before others have to wait for it, and never of what was answered already
        webhook, replayed = self.kept.add(new, now)
        return webhook, self._verifier(webhook, WebhookKey(webhook.number, 1, new.kind, now, None)), replayed

    def rotate(
        self, webhook: Webhook, kind: str, asked: Asked, *, now: datetime, keep: timedelta
    ) -> tuple[WebhookKey, str, bool]:
        """A new key, what verifies its signatures, and whether it had been made before."""
        key, replayed = self.kept.rotate(webhook, kind, asked, now, keep)
        return key, self._verifier(webhook, key), replayed

    def _verifier(self, webhook: Webhook, key: WebhookKey) -> str:
        return secret_of(self.signer, webhook, key).verifier()
