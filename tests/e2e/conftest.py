# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import peers  # noqa: E402
from support.postern import PROGRAM  # noqa: E402


def pytest_sessionstart(session):
    if not PROGRAM.exists():
        pytest.exit(f"{PROGRAM} is missing: meson install -C BUILD --destdir stage, and set POSTERN_BUILD=BUILD", 3)


@pytest.fixture(scope="session")
def unpacked():
    """The root folder with Postfix, Dovecot and nsd; tests that need them are skipped without root."""
    try:
        return peers.root_folder()
    except peers.Unavailable as why:
        pytest.skip(str(why))
