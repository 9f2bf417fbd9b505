"""A disk that is slow or fails when the test says so, for a daemon of ours.

    disk = FaultyDisk(build, world.path("disk"))
    world = World(..., environment=disk.environment)
    disk.be_slow(0.05)      # each fsync(2) takes 50 ms longer
    disk.fail(errno.ENOSPC) # until disk.work()

What SQLite writes is affected, the log is not.
"""

import mmap
import struct

LIBRARY = "tests/world/faulty_disk.so"


class FaultyDisk:
    def __init__(self, build, path):
        with open(path, "wb") as file:
            file.write(bytes(8))
        with open(path, "r+b") as file:
            self._orders = mmap.mmap(file.fileno(), 8)
        self.environment = {"LD_PRELOAD": build.path(LIBRARY),
                            "FAULTY_DISK": path}

    def be_slow(self, seconds):
        self._orders[0:4] = struct.pack("=I", int(seconds * 1e6))

    def fail(self, number):
        """Every write fails with this errno."""
        self._orders[4:8] = struct.pack("=I", number)

    def work(self):
        """Be quick and faultless again."""
        self._orders[0:8] = bytes(8)

    def close(self):
        self._orders.close()
