"""What a document claims to be, and which submissions have what checks and rankings need. Imports nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["FRAMEWORKS", "UNMEASURED", "is_frameworks", "is_measured", "is_migrated"]

FRAMEWORKS = "frameworks"  # the format of a comparison of frameworks

# of what is not, as a message goes on
UNMEASURED = "is unverified, in the course's format (version 1) or migrated from it, which has no intervals"


def is_measured(document: Mapping[str, Any]) -> bool:
    """Say of a valid submission whether a run wrote it: one of the course's format, or made of one, it did not."""
    return "schema_version" in document and not is_migrated(document)


def is_migrated(document: Mapping[str, Any]) -> bool:
    """Say whether a document of version 2 claims to have been one of version 1."""
    return "migrated" in document and "schema_version" in document


def is_frameworks(document: Any) -> bool:
    """Say whether a document claims to be a comparison of frameworks."""
    return isinstance(document, Mapping) and document.get("format") == FRAMEWORKS
