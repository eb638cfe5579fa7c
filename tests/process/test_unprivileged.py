"""An ordinary user measures the same: no capability, no writable home, the default sysctls."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from places import CHECKOUT, PLUGINS

from gcbarrier.campaign import experiments as campaign
from gcbarrier.campaign import runner
from gcbarrier.model import Config, Outcome, from_json
from gcbarrier.plugins import discovery

AS_NOBODY = """
import ctypes, os, pickle, sys
from gcbarrier import barriers, collectors
from gcbarrier.plugins import discovery
from gcbarrier.session import ours as session
from gcbarrier.model import to_json
job = pickle.load(sys.stdin.buffer)
config = job.invocation.config
# Modules are loaded first: the interpreter's own files may be root's alone.
barriers.promises_of(config.barrier), collectors.find(config.collector)
import encodings.ascii, gcbarrier.session.oracle, numpy.lib.format
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    # Changing identity hides /proc/self from its own process until it is dumpable again.
    assert ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0
assert os.geteuid() != 0
status = open("/proc/self/status").read()
assert "CapEff:\\t0000000000000000" in status, status
print(to_json(session.run(job).record))
"""


@pytest.mark.parametrize("barrier", ["none", "uffd-wp-async", "uffd-wp-pagemap"])
def test_an_ordinary_user_measures_the_same(barrier: str, needs, tmp_path: Path, monkeypatch) -> None:
    needs("async-uffd-wp", "pagemap-scan", "public-checkout")
    discovery.add_path(PLUGINS)
    # Somewhere that everyone may read the compiled files.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    config = Config(
        heap="ring",
        barrier=barrier,
        collector="stop-the-world" if barrier == "none" else "mostly-concurrent",
        heap_bytes=4 << 20,
        duration_s=0.3,
        verify=True,
    )
    (step,) = runner.steps(campaign.Plan(configs=(config,), invocations=1), seed=1, accelerator="native")
    child = subprocess.run(
        [sys.executable, "-c", AS_NOBODY], input=pickle.dumps(step.job), capture_output=True, check=False, cwd=CHECKOUT
    )
    assert child.returncode == 0, child.stderr.decode()
    outcome = from_json(child.stdout.decode(), Outcome)
    assert outcome.error == ""
    assert outcome.verification is not None
    assert outcome.verification.checksum_matches
    assert outcome.verification.lost_granules == 0
    assert outcome.pauses
