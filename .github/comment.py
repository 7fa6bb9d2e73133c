"""Write what submission-check found as a comment of its pull request, for .github/workflows/submission-comment.yml.

The artifact comes from a job that a pull request could have changed: it is data, bounded, and is believed only if the
pull request changes nothing outside submissions/. Standard library only; nothing of the pull request is executed.

Environment: TOKEN, RUN (the id of the check's run), HEAD (the commit that it checked), BRANCH (the default branch),
GITHUB_REPOSITORY, GITHUB_API_URL.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from typing import Any

MARKER = "<!-- pipeline check-pr -->"
FOLDER = "submissions/"
ARTIFACT = "submission-check"
MOST_ARTIFACT, MOST_COMMENT, MOST_ANSWER = 2**20, 65_000, 2**24  # bytes, characters, bytes
MOST_PAGES = 20
BOT = "github-actions[bot]"
OUTSIDE = (
    f"{MARKER}\n\nThis pull request changes files outside `{FOLDER}`, and could have changed its own check, too. What "
    "that says is not shown here: put the submission into a pull request of its own, or ask a maintainer.\n"
)
NO_ANSWER = (
    f"{MARKER}\n\nThe check of this submission ended without an answer. Its log says why; a maintainer has to look.\n"
)


class GiveUpError(Exception):
    """Nothing can be written, for a reason that a maintainer may want to know."""


class _NoToken(urllib.request.HTTPRedirectHandler):
    """Follows a redirect without the token, which is nobody else's."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None:
            request.remove_header("Authorization")
        return request


def main(environment: Mapping[str, str]) -> str:
    """Write the comment; return what was done. Raises GiveUpError."""
    head, branch = environment["HEAD"], environment["BRANCH"]
    if not re.fullmatch("[0-9a-f]{40}", head):
        raise GiveUpError("HEAD is no commit")
    files = artifact(environment)
    number = files.get("number", b"").decode("ascii", "replace").strip()
    if not re.fullmatch("[1-9][0-9]{0,9}", number):
        raise GiveUpError("the artifact names no pull request")
    found = call(environment, f"pulls/{number}")
    if found["head"]["sha"] != head:
        raise GiveUpError(f"pull request {number} is at another commit: a newer check will comment")
    if found["base"]["ref"] != branch or found["base"]["repo"]["full_name"] != environment["GITHUB_REPOSITORY"]:
        raise GiveUpError(f"pull request {number} is not for {branch}")
    if found["state"] != "open":
        raise GiveUpError(f"pull request {number} is {found['state']}")
    body = OUTSIDE if changes_more(head) else comment_in(files)
    earlier = earlier_comment(environment, number)
    if earlier is None:
        call(environment, f"issues/{number}/comments", {"body": body})
        return f"commented on pull request {number}"
    call(environment, f"issues/comments/{earlier}", {"body": body}, "PATCH")
    return f"wrote the comment of pull request {number} anew"


def artifact(environment: Mapping[str, str]) -> dict[str, bytes]:
    """Return the files that the check handed on, those of the two known names only, none of them longer than bounds."""
    listed = call(environment, f"actions/runs/{int(environment['RUN'])}/artifacts?name={ARTIFACT}&per_page=1")
    if not listed["artifacts"]:
        raise GiveUpError("the check left no artifact")
    found = listed["artifacts"][0]
    if found["size_in_bytes"] > MOST_ARTIFACT:
        raise GiveUpError(f"the artifact has {found['size_in_bytes']:,} bytes, at most {MOST_ARTIFACT:,} are read")
    data = fetch(environment, f"actions/artifacts/{int(found['id'])}/zip", most=MOST_ARTIFACT)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in ("number", "comment.md") if name in archive.namelist()]
            return {name: read(archive, name) for name in names}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise GiveUpError(f"the artifact is no archive that can be read: {error}") from error


def read(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a file of an archive, one byte more than fits if it is too long: a bomb is not unpacked."""
    with archive.open(name) as file:
        return file.read(4 * MOST_COMMENT + 1)


def comment_in(files: Mapping[str, bytes]) -> str:
    """Return the comment that the check wrote, or the one that says that there is none."""
    text = files.get("comment.md", b"").decode("utf-8", "replace")
    is_one = text.startswith(f"{MARKER}\n") and len(text) <= MOST_COMMENT
    return text if is_one else NO_ANSWER


def changes_more(head: str) -> bool:
    """Say whether the commit changes anything but submissions since it left the branch that is checked out."""
    fork = git("merge-base", "HEAD", head).strip().decode()
    names = git("diff-tree", "-r", "-z", "--no-renames", "--no-commit-id", "--name-only", fork, head).split(b"\0")[:-1]
    return not names or not all(name.startswith(FOLDER.encode()) for name in names)


def git(*arguments: str) -> bytes:
    """Return what git answers; raises GiveUpError."""
    done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    if done.returncode:
        raise GiveUpError(f"git {arguments[0]} ends with {done.returncode}")
    return done.stdout


def earlier_comment(environment: Mapping[str, str], number: str) -> int | None:
    """Return the id of the comment that an earlier check wrote; None if there is none."""
    for page in range(1, MOST_PAGES + 1):
        comments = call(environment, f"issues/{number}/comments?per_page=100&page={page}")
        for each in comments:
            if each["user"]["login"] == BOT and each["body"].startswith(MARKER):
                return int(each["id"])
        if len(comments) < 100:
            break
    return None


def call(environment: Mapping[str, str], path: str, document: Any = None, method: str | None = None) -> Any:
    """Return what the interface answers."""
    return json.loads(fetch(environment, path, document, method))


def fetch(
    environment: Mapping[str, str], path: str, document: Any = None, method: str | None = None, most: int = MOST_ANSWER
) -> bytes:
    """Return the bytes of an answer, at most so many; raises GiveUpError."""
    headers = {
        "Authorization": f"Bearer {environment['TOKEN']}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    url = f"{environment['GITHUB_API_URL']}/repos/{environment['GITHUB_REPOSITORY']}/{path}"
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.build_opener(_NoToken).open(request, timeout=60) as answer:
            found: bytes = answer.read(most + 1)
    except urllib.error.URLError as error:
        raise GiveUpError(f"{path}: {error}") from error
    if len(found) > most:
        raise GiveUpError(f"{path}: answers with more than {most:,} bytes")
    return found


if __name__ == "__main__":
    try:
        said = main(os.environ)
    except GiveUpError as error:
        said = f"no comment: {error}"
    sys.stdout.write(f"{said.replace(chr(10), ' ')}\n")
