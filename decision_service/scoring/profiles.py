"""The profile of the training rows that a registered version carries, read as verified as the version itself."""

from __future__ import annotations

from decision_service.scoring.registry import ModelRegistry, ModelWithdrawn
from decision_service.scoring.stability import PROFILE_FILE, Profile, profile_from_json
from decision_service.vocabulary import ModelVersion


def profile_of(registry: ModelRegistry, version: ModelVersion) -> Profile | None:
    """What the training rows looked like; ``None`` for a version that was registered without a profile or is not there.

    A version that the registry has otherwise than decisions recorded it is not there. Raises ``ModelError`` when the
    registry does not answer or a file was changed.
    """
    try:
        files, digest = registry.files(version.name, version.version)
    except ModelWithdrawn:
        return None
    if digest != version.digest or PROFILE_FILE not in files:
        return None
    return profile_from_json(files[PROFILE_FILE])
