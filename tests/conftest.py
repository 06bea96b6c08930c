"""Leaves out tests of the whole decision path while a room that it runs through is still missing."""

from importlib.util import find_spec

PATH = ("decision_service.lending.exposure", "decision_service.portrait.snapshot", "decision_service.scoring.scorer")

collect_ignore = [] if all(find_spec(room) for room in PATH) else ["rules/test_shipped_cases.py"]
