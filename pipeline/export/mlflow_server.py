"""MLflow's REST API, as far as an export needs it, over the standard library. Its answers are not trusted.

Documented at https://mlflow.org/docs/latest/rest-api.html. Credentials are read from MLflow's own variables:
MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from pipeline.core.errors import EnvironmentProblem, UserError
from pipeline.export.mlflow_runs import Metric, PlannedRun

__all__ = ["Server", "StartedRun"]

Item = TypeVar("Item")

_TIMEOUT_S = 30
_LONGEST_ANSWER = 16 * 2**20
_MOST_PAGES = 100
_PAGE = 1000
# What one log-batch request may hold: 1000 of all kinds, of these 100 params and 100 tags (MLflow's documentation).
_MOST_METRICS, _MOST_PARAMS, _MOST_TAGS = 800, 100, 100
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # else its pages are those of language models
_ID = re.compile(r"[\w-]{1,256}")


@dataclass(frozen=True)
class StartedRun:
    """A run that the server has."""

    id: str
    is_finished: bool


class Server:
    """A tracking server at an address; every method raises EnvironmentProblem if it cannot be reached or refuses."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(
                f"{url!r} is not the address of a tracking server", hint="like http://127.0.0.1:5000 or https://HOST"
            )
        if parts.username or parts.password:
            hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead: addresses are shown and logged"
            raise UserError("the address holds a password", hint=hint)
        self.url = url.rstrip("/")
        self._opener = urllib.request.build_opener(_NoRedirect)

    def experiment(self, name: str) -> str:
        """Return the id of the experiment with this name, which is made if there is none."""
        found = self._call("GET", f"experiments/get-by-name?experiment_name={quote(name, safe='')}", absent=True)
        if found is None:
            return _checked(
                self._call("POST", "experiments/create", {"name": name, "tags": _pairs(_KIND)}), "experiment_id"
            )
        experiment = _part(found, "experiment")
        if experiment.get("lifecycle_stage") == "deleted":
            raise UserError(
                f"the experiment {name!r} is deleted on {self.url}",
                hint="restore it there, or name another with --experiment",
            )
        return _checked(experiment, "experiment_id")

    def runs_of(self, experiment: str, submission: str) -> dict[str, StartedRun]:
        """Return by point the runs that are tagged with this submission."""
        found: dict[str, StartedRun] = {}
        asked: dict[str, Any] = {
            "experiment_ids": [experiment],
            "filter": f"tags.`pipeline.submission` = '{submission}'",
            "max_results": _PAGE,
        }
        for _ in range(_MOST_PAGES):
            page = self._call("POST", "runs/search", asked) or {}
            for run in page.get("runs", ()):
                info, data = _part(run, "info"), _part(run, "data")
                tags = {tag.get("key"): tag.get("value", "") for tag in data.get("tags", ())}
                started = StartedRun(_checked(info, "run_id"), info.get("status") == "FINISHED")
                point = str(tags.get("pipeline.point", ""))
                if point not in found or started.is_finished:
                    found[point] = started
            if not page.get("next_page_token"):
                return found
            asked["page_token"] = page["next_page_token"]
        return found

    def start(self, experiment: str, run: PlannedRun, parent: str | None) -> StartedRun:
        """Create a run, findable by its tags from the first moment."""
        tags = {"pipeline.submission": run.submission, "pipeline.point": run.point}
        if parent:
            tags["mlflow.parentRunId"] = parent
        asked = {
            "experiment_id": experiment,
            "run_name": run.name,
            "start_time": run.time_ms,
            "tags": _pairs(tags),
        }
        created = self._call("POST", "runs/create", asked) or {}
        return StartedRun(_checked(_part(_part(created, "run"), "info"), "run_id"), False)

    def log(self, run_id: str, run: PlannedRun) -> None:
        """Write params, metrics and tags; what is there already stays as it is."""
        metrics = [_metric(metric, run.time_ms) for metric in run.metrics]
        parts = zip_longest(
            _chunks(_pairs(run.params), _MOST_PARAMS),
            _chunks(_pairs(run.tags), _MOST_TAGS),
            _chunks(metrics, _MOST_METRICS),
            fillvalue=(),
        )
        for params, tags, values in parts:
            batch = {"run_id": run_id, "params": params, "tags": tags, "metrics": values}
            self._call("POST", "runs/log-batch", batch)

    def put_file(self, run_id: str, name: str, data: bytes) -> str:
        """Send a file through the server to where it keeps them; return why that is impossible, "" if it is done."""
        info = _part(_part(self._call("GET", f"runs/get?run_id={quote(run_id)}") or {}, "run"), "info")
        place = urlsplit(str(info.get("artifact_uri", "")))
        if place.scheme != "mlflow-artifacts":
            return f"the server keeps them at {place.scheme or 'its own disk'}, which only MLflow's client writes to"
        path = quote(f"{place.path.strip('/')}/{name}")
        self._request("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", data, "application/octet-stream")
        return ""

    def finish(self, run_id: str, run: PlannedRun) -> None:
        """Mark a run as finished."""
        self._call("POST", "runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": run.time_ms})

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, absent: bool = False
    ) -> dict[str, Any] | None:
        """Return the answer's JSON object; None if what was asked for does not exist and may be `absent`."""
        data = None if body is None else json.dumps(body, allow_nan=False).encode()
        answer = self._request(method, f"/api/2.0/mlflow/{path}", data, "application/json", absent)
        if answer is None:
            return None
        try:
            document = json.loads(answer or b"{}")
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise EnvironmentProblem(
                f"{self.url} does not answer as an MLflow server does", hint="is it the tracking server's address?"
            )
        return document

    def _request(self, method: str, path: str, data: bytes | None, content: str, absent: bool = False) -> bytes | None:
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)
        request.add_header("Content-Type", content)
        for name, value in _credentials().items():
            request.add_unredirected_header(name, value)
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                found: bytes = answer.read(_LONGEST_ANSWER + 1)
        except urllib.error.HTTPError as error:
            with error:
                message = _message(error)
            if absent and error.code == 404:
                return None
            raise EnvironmentProblem(
                f"{self.url} refuses ({error.code}): {message}", hint=_HINTS.get(error.code, "")
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            hint = "is the server running there? (mlflow server --port 5000); what was sent is not sent twice"
            raise EnvironmentProblem(f"{self.url} cannot be reached: {reason}", hint=hint) from error
        if len(found) > _LONGEST_ANSWER:
            raise EnvironmentProblem(f"{self.url} answers more than {_LONGEST_ANSWER // 2**20} MiB")
        return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follow nothing: a tracking server has no reason to send credentials and results elsewhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_HINTS = {
    401: "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    403: "the server's --allowed-hosts must have this name, and the user be allowed to write",
    404: "is it the tracking server's address?",
}


def _credentials() -> dict[str, str]:
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
    return {}


def _message(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:
        return f"it redirects to {error.headers.get('Location', 'elsewhere')}, which is not followed"
    try:
        document = json.loads(error.read(65_536))
        return str(document["message"])[:500]
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        return str(error.reason)


def _part(document: Any, name: str) -> Mapping[str, Any]:
    found = document.get(name) if isinstance(document, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _checked(document: Mapping[str, Any] | None, name: str) -> str:
    """Return an id that the server gives; it becomes part of addresses."""
    found = str((document or {}).get(name, ""))
    if not _ID.fullmatch(found):
        raise EnvironmentProblem(f"the server gives no {name}", hint="is it the tracking server's address?")
    return found


def _pairs(texts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in texts.items()]


def _metric(metric: Metric, time_ms: int) -> dict[str, Any]:
    name, value, step = metric
    return {"key": name, "value": value, "timestamp": time_ms, "step": step}


def _chunks(items: Iterable[Item], size: int) -> Iterable[Sequence[Item]]:
    listed = list(items)
    return (listed[start : start + size] for start in range(0, len(listed), size))
