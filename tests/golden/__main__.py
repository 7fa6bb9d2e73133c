"""Renew the golden files on purpose: `python -m tests.golden`, then read the difference before committing it."""

from __future__ import annotations

from tests.golden import early_stopping, plan_ids

if __name__ == "__main__":
    plan_ids.FILE.write_text(plan_ids.as_text(plan_ids.plan_ids()))
    early_stopping.FILE.write_text(early_stopping.as_text(early_stopping.early_stopping()))
