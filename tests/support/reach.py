# SPDX-License-Identifier: Apache-2.0
"""Programs are tested without root, also where root runs the tests in a folder that is root's alone."""
import atexit
import os
import pwd
import shutil
import tempfile
from pathlib import Path


def unprivileged():
    """Whom to start a program as: keyword arguments of subprocess.Popen."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def within_reach(*programs):
    """The programs, as copies that any user can reach if root runs the tests."""
    programs = [Path(program) for program in programs]
    if os.geteuid() != 0:
        return programs
    folder = Path(tempfile.mkdtemp(prefix="postern-programs-"))
    atexit.register(shutil.rmtree, folder, True)
    folder.chmod(0o755)
    return [Path(shutil.copy(program, folder)) for program in programs]
