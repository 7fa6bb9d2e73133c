"""Renew the golden files on purpose: `python -m tests.golden`, then read the difference before committing it."""

from __future__ import annotations

from tests.golden.plan_ids import FILE, as_text, plan_ids

if __name__ == "__main__":
    FILE.write_text(as_text(plan_ids()))
