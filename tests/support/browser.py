"""A page in a real browser, Debian's chromium without a window: what becomes of it, what the browser complains of."""

import base64
import hashlib
import json
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

from attrs import frozen

CHROMIUM = "chromium"
QUIET = (
    "--headless",
    "--no-sandbox",  # it is root's, perhaps
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=5000",
    "--enable-logging=stderr",
)


def lacking() -> str:
    """Why there is no browser here; "" where there is one."""
    return "" if shutil.which(CHROMIUM) else "there is no chromium: apt-get install -y chromium"


@frozen
class Seen:
    """What the browser made of a page."""

    told: Any
    """What the test's own script said, as :func:`look` has it say."""
    complaints: tuple[str, ...]
    """On the console: errors, and what the page's policy has stopped."""
    asked_for: tuple[str, ...]
    """Addresses that anything was asked of, but for the page itself."""


def look(page: Path, script: str, folder: Path, *options: str) -> Seen:
    """Open ``page``, run ``script`` after its own scripts, and read what that returned.

    ``script`` is the body of a function that returns what JSON can hold. The page's policy is widened by it alone.
    """
    asking = (
        f"document.body.dataset.told = JSON.stringify((() => {{ {script}\n }})());"
        "document.body.dataset.asked = JSON.stringify(performance.getEntriesByType('resource').map((one) => one.name));"
    )
    digest = base64.b64encode(hashlib.sha256(asking.encode()).digest()).decode()
    text = page.read_text(encoding="utf-8")
    # In the document it is HTML's, and a quote there is an entity.
    before = "script-src &#x27;"
    assert text.count(before) == 1
    assert text.endswith("</body></html>\n")
    text = text.replace(before, f"script-src &#x27;sha256-{digest}&#x27; &#x27;")
    text = text.removesuffix("</body></html>\n") + f"<script>{asking}</script></body></html>\n"
    copy = folder / "asked.html"
    copy.write_text(text, encoding="utf-8")
    done = _run("--dump-dom", *options, str(copy.as_uri()), folder=folder)
    return Seen(
        _said(done.stdout, "told"),
        tuple(line for line in done.stderr.splitlines() if ":CONSOLE" in line),
        tuple(_said(done.stdout, "asked")),
    )


def _run(*options: str, folder: Path) -> subprocess.CompletedProcess[str]:
    profile = folder / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    command = [CHROMIUM, *QUIET, f"--user-data-dir={profile}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def _said(document: str, name: str) -> Any:
    _, found, rest = document.partition(f'data-{name}="')
    assert found, f"the script said nothing: {document[-400:]}"
    return json.loads(unescape(rest.partition('"')[0]))
