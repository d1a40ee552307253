# SPDX-License-Identifier: Apache-2.0
"""The short form of tests/crash/run: each process dies once under load, then all at once."""
from rounds import TARGETS, campaign


def test_nothing_acknowledged_is_lost():
    print(campaign(TARGETS))
