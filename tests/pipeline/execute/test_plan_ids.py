"""The golden file of plan ids: whoever changes what stored results mean sees it in review."""

from __future__ import annotations

import json

from tests.golden.plan_ids import FILE, plan_ids


def test_no_plan_id_changes_by_accident() -> None:
    """Ids are what nodes are shared and explained by; with an id, the key of every stored result changes, too."""
    golden, found = json.loads(FILE.read_text()), plan_ids()
    changed = [
        f"{name}: {label}"
        for name in sorted({*golden, *found})
        for label in sorted({*golden.get(name, {}), *found.get(name, {})})
        if golden.get(name, {}).get(label) != found.get(name, {}).get(label)
    ]
    hint = "stored results become stale. If that is meant: python -m tests.golden, and say why in CHANGELOG.md"
    assert changed == [], hint
