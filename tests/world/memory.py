"""What a process has in memory, for who may read it: root."""

import re

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)")


def read_memory(pid):
    """Yields (bytes, is_dumped) of each mapping that it can write to.

    Dumped is what a core holds, the kernel's and gcore's: a mapping without
    the flag `dd`, see proc_pid_smaps(5).
    """
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as maps, \
            open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            found = _MAPPING.match(line)
            if found:
                start, end, rights, name = found.groups()
            elif line.startswith("VmFlags:") and rights.startswith("rw") and \
                    not name.startswith("[v"):
                try:
                    memory.seek(int(start, 16))
                    content = memory.read(int(end, 16) - int(start, 16))
                except (OSError, ValueError):
                    continue
                yield content, "dd" not in line.split()
