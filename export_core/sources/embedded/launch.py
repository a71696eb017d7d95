"""Starts a PostgreSQL program under an identity that PostgreSQL accepts: it refuses to run as uid 0.

Run by path in an interpreter of its own, so that no thread of packmule is there when the identity changes::

    python -I -S launch.py IDENTITY exec PROGRAM ARGUMENT...
    python -I -S launch.py IDENTITY daemon PROGRAM ARGUMENT...

``daemon`` detaches the program from terminal and signals, waits until standard input ends (the caller has
seen the program ready; exit code 0) or the program does (exit code 1). Identities:

``same``               nothing changes
``namespace:UID``      a Linux user namespace in which the present user is called UID: files stay what they
                       are outside, and nothing needs to be opened for anybody else
``capable:UID:GID``    another user that keeps the right to pass closed directories (CAP_DAC_OVERRIDE)
``user:UID:GID``       another user, nothing else
"""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
SECBIT_NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1


def become(identity: str) -> None:
    """Take on an identity. Raises OSError when the system does not allow it."""
    kind, *numbers = identity.split(":")
    if kind == "namespace":
        _enter_namespace(int(numbers[0]))
    elif kind in {"capable", "user"}:
        _change_user(int(numbers[0]), int(numbers[1]), capable=kind == "capable")


def _enter_namespace(uid: int) -> None:
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _c_call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{uid} {outside_gid} 1")


def _change_user(uid: int, gid: int, *, capable: bool) -> None:
    if capable:
        _c_call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
        with suppress(OSError):  # else access(2) ignores the capability, by which initdb looks for programs
            _c_call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if capable:
        _keep(CAP_DAC_OVERRIDE)


def _keep(capability: int) -> None:
    """Keep one capability across exec: permitted, inheritable and ambient (Linux 4.3)."""
    import ctypes

    mask = 1 << capability
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _c_call("capset", header, sets)
    _c_call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _c_call(function: str, *arguments: object) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _daemon(identity: str, command: list[str]) -> int:
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        _exec(identity, command)
    # A tenth of a second is only how late the end of the program is noticed, not a delay of its start.
    while not select.select([0], [], [], 0.1)[0]:
        if os.waitpid(child, os.WNOHANG)[0]:
            return 1
    return 0


def _exec(identity: str, command: list[str]) -> None:
    try:
        become(identity)
        os.execv(command[0], command)  # noqa: S606  that is what a launcher is for
    except OSError as exc:
        sys.stderr.write(f"{exc}\n")
        os._exit(126)


def main(arguments: list[str]) -> int:
    """Run the program as told; returns only for ``daemon``."""
    os.umask(0o077)
    identity, mode, *command = arguments
    if mode == "daemon":
        return _daemon(identity, command)
    _exec(identity, command)
    return 126


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
