# SPDX-License-Identifier: Apache-2.0
"""The bookkeeping finds what it is there to find."""
import pytest
from rounds import Accounts


def books(load, sink, target="smtpd"):
    accounts = Accounts()
    accounts.take_load([line.split(" ", 4) for line in load])
    accounts.take_sink([line.split() for line in sink], target)
    return accounts


def test_all_is_well():
    accounts = books(["ok a 11 5 250 x", "unknown b 22 5 -", "lost c 00 0 -", "unknown d 44 5 -"], ["ok a 11", "ok b 22"])
    assert "1 acknowledged, 0 lost, 2 without a reply of which 1 arrived, 0 arrived twice" in accounts.verdict()


@pytest.mark.parametrize("load, sink, target, finding", [
    (["ok a 11 5 250 x"], [], "smtpd", "lost"),
    (["ok a 11 5 250 x"], ["ok a 12"], "smtpd", "other bytes"),
    (["unknown a 11 5 -"], ["ok a 12"], "smtpd", "other bytes"),
    (["refused a 11 5 451 x"], ["ok a 11"], "smtpd", "refused"),
    (["lost a 00 0 -"], ["ok a 11"], "all", "broken off"),
    (["ok a 11 5 250 x"], ["ok a 11", "ok a 11"], "queue", "twice"),
], ids=lambda v: str(v)[:20])
def test_findings(load, sink, target, finding):
    with pytest.raises(AssertionError, match=finding):
        books(load, sink, target).verdict()


@pytest.mark.parametrize("target", ["relay", "all", "master"])
def test_duplicates_are_counted_where_a_reply_may_be_lost(target):
    assert "1 arrived twice" in books(["ok a 11 5 250 x"], ["ok a 11", "ok a 11"], target).verdict()
