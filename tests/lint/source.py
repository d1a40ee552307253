#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a program can check, over the source tree.

usage: source.py ROOT     exit status 0: no rule is broken; 1: a line per breach

Every rule is a function that yields breaches; RULES at the end names them. test_lint.py plants a
breach of each and sees it found. What is allowed nonetheless stands in ALLOWED, with its reason.
"""
import os
import re
import sys

FOLDERS = ["lib", "src", "tests", "bench", "doc", "packaging", "tools", ".ci"]
ROOT_FILES = ["meson.build", "meson_options.txt", "quickstart", "check"]
FILE_LINES, FILE_LINES_ASK = 800, 500
FUNCTION_LINES, FUNCTION_LINES_ASK = 100, 60

# (path prefix, rule, name): why it may. The list is meant to stay short.
ALLOWED = {
    ("lib/config/parse.c", "files", "fopen"): "the parser runs in master and the CLI, not below lib/os",
    ("lib/config/parse.c", "files", "fstat"): "as above",
    ("lib/config/scan.c", "files", "stat"): "as parse.c",
    ("lib/config/verify_devices.c", "files", "fopen"): "as parse.c",
}

NEVER = """strcpy strcat stpcpy sprintf vsprintf strtok strtok_r atoi atol atoll gets scanf fscanf
    alloca strdupa tmpnam tempnam mktemp""".split()
NEVER_IN_PRODUCT = "sscanf vsscanf system popen setlocale rand random".split()
MEMORY = "malloc calloc realloc reallocarray free strdup strndup asprintf vasprintf getline getdelim".split()
FILES = """open open64 openat creat read pread readv write pwrite writev close lseek fsync fdatasync
    fopen fdopen freopen unlink unlinkat rename renameat mkdir rmdir opendir readdir stat fstat lstat
    fstatat chmod fchmod chown fchown ftruncate truncate link symlink flock socket socketpair connect
    bind listen accept accept4 send sendto sendmsg recv recvfrom recvmsg setsockopt getsockopt
    shutdown poll ppoll select epoll_wait epoll_create1 pipe pipe2 dup dup2 dup3 fork vfork execve
    execv execvp posix_spawn ioctl fcntl kill waitpid setuid setgid setresuid chroot getrandom
    gethostbyname getaddrinfo""".split()
# Whatever compares byte by byte tells by its time how far two secrets agree (C10).
COMPARE = "memcmp strcmp strncmp strcasecmp strncasecmp bcmp".split()
SECRET_PLACES = ("src/auth/", "lib/store/verifier", "lib/store/password", "lib/store/accounts",
                 "lib/store/foreign",
                 "lib/base/secret")

# Which folder may include which: one way, from below upwards.
LAYERS = {
    "base": set(),
    "smtp": {"base"}, "message": {"base", "smtp"}, "policy": {"base", "smtp", "config"}, "config": {"base", "smtp"},
    "token": {"base"},
    "os": {"base", "smtp", "message", "policy", "config"},
    "ipc": {"base", "config", "os"},
    "tls": {"base", "config", "os"},
    "dns": {"base", "smtp", "config", "os"},
    "store": {"base", "smtp", "message", "policy", "config", "os"},
}
# master is linked into the CLI's executable: one program, bin/postern.
SRC_INCLUDES = {("cli", "master")}

# In pieces, so that this file does not break its own rule.
PLACES = ["/" + "work/", "/" + "home/", "../" + "shared", "/" + "root/"]


class Breach:
    def __init__(self, path, line, rule, text):
        self.path, self.line, self.rule, self.text = path, line, rule, text

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.text}"


def files(root):
    """Paths of the tree below root, without what is built and what git keeps."""
    found = [name for name in ROOT_FILES if os.path.isfile(os.path.join(root, name))]
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = [f for f in folders if f not in ("__pycache__", ".git", "build", "run")]
            for name in names:
                found.append(os.path.relpath(os.path.join(where, name), root))
    return sorted(path for path in found if not path.endswith((".pyc", ".orig", ".rej")))


def read(root, path):
    with open(os.path.join(root, path), "rb") as file:
        data = file.read()
    return None if b"\0" in data else data.decode("utf-8", "replace")


def without_comments(text):
    """C with comments and the contents of literals blanked; line ends stay."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    return token.sub(blank, text)


def is_c(path):
    return path.endswith((".c", ".h", ".def"))


def calls(code, names):
    """(line, name) of each call of one of names: not as a member, not as a declaration of a type."""
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(")
    for number, line in enumerate(code.split("\n"), 1):
        for match in pattern.finditer(line):
            yield number, match.group(1)


def allowed(path, rule, name):
    return any(path.startswith(prefix) and rule == r and name == n for prefix, r, n in ALLOWED)


def ban(rule, names, applies, why):
    def check(path, text, code):
        if not is_c(path) or not applies(path):
            return
        for line, name in calls(code, names):
            if not allowed(path, rule, name):
                yield Breach(path, line, rule, f"{name}: {why}")
    return check


def product(path):
    return path.startswith(("lib/", "src/"))


def check_spdx(path, text, code):
    plain = path.endswith((".c", ".h", ".def", ".py", ".sh", ".build")) or text.startswith("#!") \
        or path == "meson_options.txt"
    if plain and path != "meson_options.txt" and "SPDX-License-Identifier: Apache-2.0" not in \
            "\n".join(text.split("\n")[:5]):
        yield Breach(path, 1, "spdx", "no SPDX line in the first five lines")


def check_file_length(path, text, code):
    lines = text.count("\n")
    if is_c(path) and lines > FILE_LINES:
        yield Breach(path, lines, "file-length", f"{lines} lines, {FILE_LINES} at most")


def functions(code):
    """(first line, number of lines) of each function, by its braces in column one."""
    start = None
    for number, line in enumerate(code.split("\n"), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start is not None:
            if line.strip() == "}":
                yield start, number - start + 1
            start = None


def check_function_length(path, text, code):
    if not path.endswith(".c"):
        return
    for start, length in functions(code):
        if length > FUNCTION_LINES:
            yield Breach(path, start, "function-length", f"{length} lines, {FUNCTION_LINES} at most")


def check_places(path, text, code):
    for number, line in enumerate(text.split("\n"), 1):
        for place in PLACES:
            if place in line:
                yield Breach(path, number, "places", f"{place} exists on one machine only")


def check_layers(path, text, code):
    parts = path.split("/")
    if not is_c(path) or len(parts) < 3 or parts[0] not in ("lib", "src"):
        return
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+"([\w-]+)/', line)
        other = match.group(1) if match else None
        if parts[0] == "lib":
            if other and other != parts[1] and other not in LAYERS.get(parts[1], set()):
                yield Breach(path, number, "layers", f"lib/{parts[1]} must not use {other}")
        elif other and other != parts[1] and other not in LAYERS and \
                (parts[1], other) not in SRC_INCLUDES:
            yield Breach(path, number, "layers", f"src/{parts[1]} must not use src/{other}")
        elif re.match(r'\s*#\s*include\s+"\.\./', line):
            yield Breach(path, number, "layers", "a path with .. leads out of the folder")


RULES = [
    ban("never", NEVER, lambda path: True, "never; see CONTRIBUTING.md"),
    ban("never", NEVER_IN_PRODUCT, product, "never outside tests"),
    ban("memory", MEMORY, lambda path: product(path) and not path.startswith("lib/base/"),
        "memory comes from base/mem.h"),
    ban("files", FILES, lambda path: product(path) and not path.startswith("lib/os/"),
        "only lib/os calls the kernel"),
    ban("compare", COMPARE, lambda path: path.startswith(SECRET_PLACES),
        "secrets are near: CRYPTO_memcmp, secret_equal or slice_equal"),
    check_spdx,
    check_file_length,
    check_function_length,
    check_places,
    check_layers,
]


def breaches(root):
    for path in files(root):
        text = read(root, path)
        if text is None:
            continue
        code = without_comments(text) if is_c(path) else ""
        for rule in RULES:
            yield from rule(path, text, code)


def long_ones(root):
    """What is within the bounds but asks what it should have been."""
    for path in files(root):
        text = read(root, path)
        if text is None or not is_c(path):
            continue
        lines = text.count("\n")
        if FILE_LINES_ASK < lines <= FILE_LINES:
            yield f"{path}: {lines} lines"
        for start, length in functions(without_comments(text)):
            if path.endswith(".c") and FUNCTION_LINES_ASK < length <= FUNCTION_LINES:
                yield f"{path}:{start}: a function of {length} lines"


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    found = list(breaches(sys.argv[1]))
    for breach in found:
        print(breach)
    asks = list(long_ones(sys.argv[1]))
    if asks:
        print(f"long (over {FILE_LINES_ASK} lines a file, {FUNCTION_LINES_ASK} a function):")
        for ask in asks:
            print("  " + ask)
    print(f"{len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
