"""Versions to look at: a folder as it is, or a stored version with the cases it was published with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from decision_service.audit.release import Act, Judged, Named, publication
from decision_service.audit.signing import Signer
from decision_service.case_runs import run_ruleset
from decision_service.errors import InputError, NotFound, StoreError
from decision_service.rule_folder import candidate
from decision_service.rulebook.files import load, load_sources
from decision_service.store import Store
from decision_service.workbench.versions import Texts, export, packed, version
from tests.api.real import RULES
from tests.releasing import ANN

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
TODAY = date(2026, 11, 24)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in which the shipped rules are published."""
    opened = Store.open(f"sqlite:///{tmp_path}/store.db")
    found = candidate(RULES, on=TODAY)
    ruleset = found.policy.ruleset
    opened.save_ruleset(ruleset.digest, ruleset.version, ruleset.sources, NOW)
    judged = Judged(cases=opened.attach(packed(found.case_texts)))
    content = publication(Named(ruleset.digest, ruleset.version), Act(ANN, NOW), judged)
    opened.append_release(lambda _: content, Signer.open(tmp_path / "key.pem").receipt)
    yield opened
    opened.close()


def test_a_stored_version_is_as_the_folder_was_its_cases_too(store: Store) -> None:
    folder = version(store, str(RULES), on=TODAY)
    stored = version(store, folder.policy.ruleset.digest, on=TODAY)
    assert stored.policy.ruleset.digest == folder.policy.ruleset.digest
    assert dict(stored.case_texts) == dict(folder.case_texts)
    assert [case.name for case in stored.cases] == [case.name for case in folder.cases]
    assert run_ruleset(stored.policy, stored.cases).passed


def test_a_folder_need_not_be_stored_to_be_looked_at(store: Store, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(RULES, tmp_path / "rules"))
    (folder / "VERSION").write_text("mine\n")
    assert version(store, str(folder), on=TODAY).policy.ruleset.version == "mine"
    with pytest.raises(NotFound, match="no version in the store"):
        version(store, "mine", on=TODAY)


def test_a_version_without_publication_has_no_cases(store: Store) -> None:
    trial = load_sources({**load(RULES).sources, "VERSION": "trial\n"})
    store.save_ruleset(trial.digest, trial.version, trial.sources, NOW)
    assert version(store, "trial", on=TODAY).cases == ()


OUTSIDE = ["../evil.yaml", "/nowhere/evil.yaml", "a/../../evil.yaml"]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_stored_path_never_leaves_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(StoreError, match="outside its folder"):
        export(Texts({path: "x"}, {}), tmp_path / "target")
    assert not (tmp_path / "evil.yaml").exists()


def test_a_file_is_no_folder_to_write_into(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not an empty folder"):
        export(Texts({"a.yaml": "x"}, {}), tmp_path / "file")
