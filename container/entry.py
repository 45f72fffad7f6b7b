"""The image's entry: makes the caller's cache, takes over what the host hands in, and drops every privilege.

compose.yaml starts it as root with four capabilities (CHOWN, DAC_OVERRIDE, SETGID, SETUID) and the caller's ids in
DGXCERT_UID and DGXCERT_GID. The program that it becomes has the caller's ids, no capability, and can gain none. Started
as another user it changes nothing. Standard library only, without site-packages: nothing that a user can install runs
as root.
"""

import ctypes
import json
import os
import socket
import stat
import sys
from typing import NoReturn

CACHE = "/cache"
FOLDERS = ("huggingface", "triton", "inductor")
KEEPER = 65534
"""Owner of /cache itself: not root, whose programs in a container could otherwise make other users' folders."""
VOLUME = "dgxcert_cache"

HANDOVER = "/run/dgxcert/handover"
"""The socket on which the host hands over what must be in no file, environment or argument of a container."""
HANDED = ("HTTPS_PROXY", "NO_PROXY")
LONGEST = 65536
WAIT_S = 30.0

FILE_BY_HAND = "/run/secrets/hf_token"
FOR_CLIENT = "/run/hub/token"
"""In a tmpfs of the container, whose folder is nobody's: a program inside can neither change nor replace it."""

PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3, linux/capability.h."""

CANNOT_START = 3


def fail(message: str) -> NoReturn:
    """End with one line: it is the last one of the child's log, which the run shows."""
    sys.stderr.write(f"dgxcert: {message}\n")
    sys.exit(CANNOT_START)


def number(name: str) -> int:
    """An id of the caller from the environment."""
    value = os.environ.get(name, "")
    if not value.isascii() or not value.isdigit() or int(value) >= 2**32 - 1:
        fail(f"{name} is {value!r}, wanted a user's number: {name}=$(id -{name[-3].lower()})")
    return int(value)


def take_cache(path: str, keeper: int) -> int:
    """A handle of the cache, in which nobody but root's entry can make folders from now on."""
    cache = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    status = os.fstat(cache)
    if (status.st_uid, stat.S_IMODE(status.st_mode)) != (keeper, 0o755):  # a volume of an older image, or a new one
        os.fchown(cache, 0, 0)  # only its owner may change the mode, without one more capability
        os.fchmod(cache, 0o755)
        os.fchown(cache, keeper, keeper)
    return cache


def make_own(cache: int, uid: int, gid: int) -> None:
    """The caller's folder in the cache: made, or refused where it is a link or somebody else made it."""
    name = str(uid)
    try:
        os.mkdir(name, 0o700, dir_fd=cache)
    except FileExistsError:
        pass
    else:
        os.chown(name, uid, gid, dir_fd=cache, follow_symlinks=False)
    status = os.stat(name, dir_fd=cache, follow_symlinks=False)
    if problem := unfit(status, uid):
        fail(
            f"{CACHE}/{name} of the volume {VOLUME} {problem}, so that what is cached there may not be yours. Move it "
            f"aside: docker run --rm --user 0 --entrypoint mv -v {VOLUME}:{CACHE} "
            f"{os.environ.get('DGXCERT_IMAGE') or 'dgxcert:course'} -T {CACHE}/{name} {CACHE}/{name}.aside"
        )


def unfit(status: os.stat_result, uid: int) -> str:
    """Why a folder cannot be a caller's cache, or "". Others could have written to one that is open to them."""
    if not stat.S_ISDIR(status.st_mode):
        return "is a link" if stat.S_ISLNK(status.st_mode) else "is no folder"
    if status.st_uid != uid:
        return f"belongs to user {status.st_uid} and not to user {uid}"
    if status.st_mode & 0o022:
        return f"has mode {stat.S_IMODE(status.st_mode):04o}, which lets others write to it"
    return ""


def handed(path: str) -> dict[str, object]:
    """What the host hands over; nothing where it has not prepared to, as in a container started by hand."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return {}
    except OSError:
        return {}
    with socket.socket(socket.AF_UNIX) as host:
        host.settimeout(WAIT_S)
        host.connect(path)
        text = b""
        while len(text) <= LONGEST and (more := host.recv(LONGEST)):
            text += more
    return dict(json.loads(text))


def token_by_hand(path: str) -> str:
    """The token in a file that a person named; empty without one."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(LONGEST).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def keep_token(token: str, path: str, uid: int, gid: int) -> None:
    """Put the token where the Hub's client looks for it, readable by the caller alone."""
    if not token:
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
    os.write(handle, token.encode())
    os.fchown(handle, uid, gid)
    os.close(handle)


def drop(uid: int, gid: int) -> None:
    """Become the caller, without any capability and without a way to gain one. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()  # effective, permitted and inheritable, in two words each
    # A caller who is root keeps them across setuid; with no_new_privs set, execve(2) gives none back.
    if libc.capset(header, none) or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def prepare() -> None:
    """All that root is needed for."""
    uid, gid = number("DGXCERT_UID"), number("DGXCERT_GID")
    cache = take_cache(CACHE, KEEPER)
    make_own(cache, uid, gid)
    os.close(cache)
    given = handed(HANDOVER)
    variables = given.get("environment")
    if isinstance(variables, dict):
        os.environ.update({name: str(variables[name]) for name in HANDED if variables.get(name)})
    keep_token(str(given.get("token") or "") or token_by_hand(FILE_BY_HAND), FOR_CLIENT, uid, gid)
    drop(uid, gid)
    os.umask(0o022)
    for name in FOLDERS:
        os.makedirs(f"{CACHE}/{uid}/{name}", mode=0o700, exist_ok=True)


def main() -> None:
    """Prepare where this is root, then become dgxcert."""
    if os.geteuid() == 0:
        try:
            prepare()
        except (OSError, ValueError) as error:
            fail(f"the container cannot be prepared for user {os.environ.get('DGXCERT_UID')}: {error}")
    # -P: the current folder is one that the work writes to, and must not hold modules
    program = ["python3", "-P", "-m", "dgxcert", *sys.argv[1:]]
    os.execvp(program[0], program)  # noqa: S606 (an argument list; becomes that program)


if __name__ == "__main__":
    main()
