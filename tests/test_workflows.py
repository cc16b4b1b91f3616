"""Workflows run what was looked at: each action by the hash of a commit, and no checkout that keeps credentials."""

import re
from pathlib import Path

import pytest
import yaml

GITHUB = Path(__file__).parents[1] / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.y*ml"))
USES = re.compile(r"^\s*(?:-\s+)?uses:\s*(?P<action>[^@\s]+)@(?P<ref>\S+)(?P<rest>.*)$", flags=re.MULTILINE)


def jobs(path):
    return yaml.safe_load(path.read_text())["jobs"]


def steps(path):
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def test_there_are_workflows():
    assert [path.stem for path in WORKFLOWS] == ["build", "docs", "release", "test"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_by_hash_and_say_their_version(path):
    found = list(USES.finditer(path.read_text()))
    used = [job["uses"] for job in jobs(path).values() if "uses" in job]
    used += [step["uses"] for step in steps(path) if "uses" in step]
    assert sorted(f"{each['action']}@{each['ref']}" for each in found) == sorted(used), "the pattern misses some"
    assert used
    for each in found:
        assert re.fullmatch(r"[0-9a-f]{40}", each["ref"]), each[0]
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", each["rest"]), each[0]


def test_an_action_has_one_version_everywhere():
    versions = {}
    for path in WORKFLOWS:
        for each in USES.finditer(path.read_text()):
            versions.setdefault(each["action"], set()).add(each["ref"] + each["rest"])
    assert {action: refs for action, refs in versions.items() if len(refs) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_checkouts_keep_no_credentials(path):
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    kept = [step for step in checkouts if step.get("with", {}).get("persist-credentials") is not False]
    assert kept == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_may_only_read(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}


def test_pre_releases_are_tried_but_hold_nobody_up():
    found = jobs(GITHUB / "workflows" / "test.yaml")
    assert found["pre"]["continue-on-error"] is True
    assert [name for name, job in found.items() if "pre" in job.get("needs", [])] == []


def test_updates_of_actions_are_proposed():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert "github-actions" in [each["package-ecosystem"] for each in updates]
