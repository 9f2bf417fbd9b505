"""Becomes another program that inherits listening sockets (sd_listen_fds(3)).

    exec_with_sockets.py FD[,FD...] PROGRAM [ARGUMENT...]

The descriptors end up as 3, 4, ... in that order. A program of its own,
because LISTEN_PID must be the process id that the program will have.
"""

import fcntl
import os
import sys

FIRST = 3      # SD_LISTEN_FDS_START
OUT_OF_WAY = 64


def main():
    descriptors = [int(text) for text in sys.argv[1].split(",")]
    parked = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, OUT_OF_WAY)
              for fd in descriptors]
    for fd in descriptors:
        os.close(fd)
    for number, fd in enumerate(parked, FIRST):
        os.dup2(fd, number, inheritable=True)
    os.environ["LISTEN_FDS"] = str(len(parked))
    os.environ["LISTEN_PID"] = str(os.getpid())
    os.execv(sys.argv[2], sys.argv[2:])


main()
