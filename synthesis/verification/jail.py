"""Locks its own process in, then becomes a Python that reads a program from standard input.

Run as a file by `synthesis.verification.sandbox`, never imported, with the standard library only. Linux on x86-64:
resource limits, no capabilities, no new privileges, Landlock (files of Python itself may be read, nothing written), and
a seccomp list of the system calls that plain computing needs (no sockets, no processes, no signals). What of these
the kernel does not offer ends it with exit code 97 and a sentence. All of it outlives the change of program.

Usage: python -I -S -B jail.py CPU_SECONDS MEMORY_BYTES
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
import sysconfig

REFUSED = 97

# Landlock, see landlock(7); the numbers are the same on all architectures.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
ALL_OF_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
NETWORK, SCOPES = 0b11, 0b11  # TCP bind and connect (from ABI 4); abstract sockets and signals (from ABI 6)

PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS = 24, 22, 28, 38
SECCOMP_MODE_FILTER = 2
NO_ROOT = 0b1111  # uid 0 gets no capabilities by executing, and this is locked
X86_64 = 0xC000003E
ALLOW, DENY = 0x7FFF0000, 0x00050001  # EPERM

#: read write close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn ioctl
#: pread64 pwrite64 readv writev access select sched_yield mremap madvise dup nanosleep getpid execve exit uname fcntl
#: getcwd readlink gettimeofday getrusage sysinfo times getuid getgid geteuid getegid getppid sigaltstack arch_prctl
#: gettid time futex sched_getaffinity set_tid_address restart_syscall clock_gettime clock_getres clock_nanosleep
#: exit_group openat newfstatat readlinkat faccessat pselect6 ppoll set_robust_list getdents64 getrandom rseq statx
#: faccessat2 open
ALLOWED = (
    *(
        0,
        1,
        3,
        4,
        5,
        6,
        7,
        8,
        9,
        10,
        11,
        12,
        13,
        14,
        15,
        16,
        17,
        18,
        19,
        20,
        21,
        23,
        24,
        25,
        28,
        32,
        35,
        39,
        59,
        60,
        63,
    ),
    *(72, 79, 89, 96, 98, 99, 100, 102, 104, 107, 108, 110, 131, 158, 186, 201, 202, 204, 218, 219, 228, 229, 230, 231),
    *(257, 262, 267, 269, 270, 271, 273, 217, 318, 334, 332, 439, 2),
)

LIBC = ctypes.CDLL(None, use_errno=True)


class Unavailable(Exception):
    """The kernel does not offer this part."""


def called(what: str, result: int) -> int:
    """The result of a system call, or Unavailable."""
    if result < 0:
        raise Unavailable(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def limit(cpu_seconds: int, memory: int) -> None:
    """Resource limits of this process."""
    for name, value in (
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.setrlimit(name, (value, value))


def drop_privileges() -> None:
    """No capabilities from here on, also for root; they are given back by no execve."""
    for capability in range(64):
        LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails without privileges, which is as good
    LIBC.prctl(PR_SET_SECUREBITS, NO_ROOT, 0, 0, 0)
    header = struct.pack("Ii", 0x20080522, 0)
    called("capset", LIBC.capset(header, struct.pack("6I", *[0] * 6)))
    called("no_new_privs", LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def readable() -> tuple[list[str], list[str]]:
    """Folders whose files this Python must read, and files it must execute."""
    folders = [
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
    ]
    folders += [os.path.join(sys.base_prefix, "lib"), str(sysconfig.get_config_var("LIBDIR") or "")]
    files = [os.path.realpath(sys.executable), "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"]
    return [item for item in folders if os.path.isdir(item)], [os.path.realpath(item) for item in files]


def lock_files() -> None:
    """Landlock: Python's own files may be read and executed, nothing else be reached, nothing written."""
    abi = called("Landlock", LIBC.syscall(CREATE_RULESET, None, 0, 1))
    fields = [ALL_OF_ABI.get(abi, ALL_OF_ABI[5])]
    fields += [NETWORK] if abi >= 4 else []
    fields += [SCOPES] if abi >= 6 else []
    packed = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = called("Landlock ruleset", LIBC.syscall(CREATE_RULESET, packed, len(packed), 0))
    folders, files = readable()
    rules = [(path, READ_FILE | READ_DIR) for path in folders]
    rules += [(path, READ_FILE | EXECUTE) for path in files]
    rules += [("/etc/ld.so.cache", READ_FILE)]
    for path, access in rules:
        if os.path.exists(path):
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
            called(
                f"Landlock rule for {path}", LIBC.syscall(ADD_RULE, ruleset, 1, struct.pack("=Qi", access, place), 0)
            )
            os.close(place)
    called("Landlock", LIBC.syscall(RESTRICT_SELF, ruleset, 0))
    os.close(ruleset)


def lock_calls() -> None:
    """seccomp: what is not in the list fails with EPERM; other architectures' calls too."""
    load, equal, ret = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 4), (equal, 1, 0, X86_64), (ret, 0, 0, DENY), (load, 0, 0, 0)]
    for left, number in zip(range(len(ALLOWED), 0, -1), ALLOWED, strict=True):
        program.append((equal, left, 0, number))
    program += [(ret, 0, 0, DENY), (ret, 0, 0, ALLOW)]
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code)
    filters = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    called("seccomp", LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters, 0, 0))


def main() -> None:
    """Lock in and become Python."""
    try:
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise Unavailable("needs Linux on x86-64")
        limit(int(sys.argv[1]), int(sys.argv[2]))
        drop_privileges()
        lock_files()
        lock_calls()
    except (Unavailable, OSError, AttributeError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(REFUSED)
    os.execve(os.path.realpath(sys.executable), [sys.executable, "-I", "-S", "-B", "-"], {"PYTHONHASHSEED": "0"})


if __name__ == "__main__":
    main()
