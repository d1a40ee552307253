# SPDX-License-Identifier: Apache-2.0
"""Mail and name servers of Debian, unpacked into a root folder below build/, never installed.

apt works out what belongs to them (its view of what is installed is an empty file, so libraries come
too), downloads it, and tar unpacks it. No script of a package runs, nothing of the system is changed.
The servers run in that root by chroot, which needs root; tests that want them are skipped without.

    python3 -m support.peers        (in tests/) unpacks, if it is not done yet, and prints the folder
"""
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from .process import ROOT

PACKAGES = ["postfix", "libsasl2-modules", "libsasl2-modules-db", "sasl2-bin", "dovecot-core",
            "dovecot-lmtpd", "nsd", "haproxy"]
FOLDER = Path(os.environ.get("POSTERN_PEERS", ROOT / "build/peers"))
LAYOUT = "1"  # changes when unpacking does something new, so that old roots are made again

PASSWD = """\
root:x:0:0:root:/root:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
postfix:x:901:901:postfix:/var/spool/postfix:/bin/false
dovecot:x:903:903:dovecot:/nonexistent:/bin/false
dovenull:x:904:904:dovenull:/nonexistent:/bin/false
vmail:x:905:905:vmail:/nonexistent:/bin/false
"""
GROUP = """\
root:x:0:
mail:x:8:
nogroup:x:65534:
postfix:x:901:
postdrop:x:902:
dovecot:x:903:
dovenull:x:904:
vmail:x:905:
"""
SERVICES = "smtp 25/tcp\ndomain 53/udp\ndomain 53/tcp\nlmtp 24/tcp\nsubmission 587/tcp\nsubmissions 465/tcp\n"


class Unavailable(Exception):
    """Why the servers cannot be had here."""


def _apt(folder, *options):
    (folder / "archives/partial").mkdir(parents=True, exist_ok=True)
    (folder / "status").write_text("")
    return subprocess.run(
        ["apt-get", "-y", "-q", "--no-install-recommends", "-o", f"Dir::State::status={folder}/status",
         "-o", f"Dir::State::extended_states={folder}/extended", "-o", f"Dir::Cache::archives={folder}/archives",
         "-o", "APT::Sandbox::User=root", "--download-only", "install", *options],
        capture_output=True, text=True, check=False)


def _download(folder, packages):
    done = _apt(folder, *packages)
    if done.returncode != 0:  # the package lists may be missing or older than the archive
        subprocess.run(["apt-get", "update", "-q"], capture_output=True, check=False)
        done = _apt(folder, *packages)
    if done.returncode != 0:
        raise Unavailable(f"apt-get cannot download {' '.join(packages)}: {done.stderr.strip()[-500:]}")


def _unpack(root, packages):
    for name in ["bin", "sbin", "lib", "lib64"]:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        data = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-C", root, "--keep-directory-symlink", "-xf", "-"], stdin=data.stdout, check=True)
        data.stdout.close()
        if data.wait() != 0:
            raise Unavailable(f"{package} cannot be unpacked")


def _furnish(root):
    for name, text in {"passwd": PASSWD, "group": GROUP, "services": SERVICES,
                       "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
                       "hosts": "127.0.0.1 localhost\n::1 localhost\n", "resolv.conf": ""}.items():
        (root / "etc" / name).write_text(text)
    (root / "dev").mkdir(exist_ok=True)
    for name, major, minor in [("null", 1, 3), ("zero", 1, 5), ("random", 1, 8), ("urandom", 1, 9)]:
        os.mknod(root / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(root / "dev" / name, 0o666)
    (root / "tmp").mkdir(exist_ok=True)
    os.chmod(root / "tmp", 0o1777)
    (root / "peers").mkdir()


def root_folder(name="", packages=tuple(PACKAGES)):
    """The root folder, unpacked on first use. Several test runs at once wait for each other.

    name: of another root, for packages that few tests need.
    """
    if os.geteuid() != 0:
        raise Unavailable("unpacked servers run in a root folder of their own (chroot): needs root")
    folder = FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    root, mark = folder / "root", folder / "done"
    wanted = LAYOUT + " " + " ".join(packages)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists() and mark.read_text() == wanted:
            return root
        mark.unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)
        _download(folder, packages)
        _unpack(root, sorted((folder / "archives").glob("*.deb")))
        _furnish(root)
        mark.write_text(wanted)
    return root


def new_folder(name, root=None):
    """A folder in the root for one server; (path seen from outside, path seen from inside)."""
    root = root or root_folder()
    for number in range(100000):
        inside = f"/peers/{name}-{os.getpid()}-{number}"
        try:
            (root / inside[1:]).mkdir(mode=0o755)
            return root / inside[1:], inside
        except FileExistsError:
            continue
    raise Unavailable("too many folders")


def inside(arguments, root=None):
    """The command line that runs these arguments in the root folder."""
    return ["chroot", str(root or root_folder()), *map(str, arguments)]


if __name__ == "__main__":
    try:
        print(root_folder())
    except Unavailable as error:
        sys.exit(f"peers: {error}")
