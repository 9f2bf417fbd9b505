"""main.cf and master.cf as text: merging and adapting. Pure functions."""

import re

_PARAMETER = re.compile(r"\s*([\w.-]+)\s*=\s*(.*)\Z", re.DOTALL)


def logical_lines(text):
    """The lines of a Postfix file: comments dropped, continuations joined.

    A comment between a line and its continuation does not end it.
    """
    result = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and result:
            result[-1] += "\n" + line.rstrip()
        else:
            result.append(line.rstrip())
    return result


def merge_main_cf(*texts):
    """One main.cf of several: the last setting of a parameter wins."""
    settings = {}
    for text in texts:
        for line in logical_lines(text):
            match = _PARAMETER.match(line)
            if match is None:
                raise ValueError(f"not a main.cf line: {line!r}")
            settings.pop(match.group(1), None)
            settings[match.group(1)] = match.group(2)
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def merge_master_cf(*texts, smtpd=None, chroot=True):
    """One master.cf of several: the last entry of a service wins.

    smtpd   "HOST:PORT" for the smtp inet service to listen on
    chroot  False turns every y of the chroot column into n; else it is left
            as Debian ships it
    """
    services = {}
    for text in texts:
        for line in logical_lines(text):
            fields, options = _split_service(line)
            if fields[:2] == ["smtp", "inet"] and smtpd is not None:
                fields[0] = smtpd
            if not chroot and fields[4] == "y":
                fields[4] = "n"
            services[tuple(fields[:2])] = " ".join(fields) + options
    return "".join(entry + "\n" for entry in services.values())


def _split_service(line):
    """The eight fields of an entry, and its arguments as they are written."""
    first, newline, rest = line.partition("\n")
    fields = first.split(None, 7)
    if len(fields) < 8:
        raise ValueError(f"not a master.cf entry: {line!r}")
    return fields, newline + rest


def queue_directories(postfix_files):
    """Directories under $queue_directory that Postfix's own list names.

    `postfix_files` is the text of postfix-files(5) as installed; gives
    (path below the queue directory, owner, group, mode), owner and group as
    written there: root, $mail_owner, -, $setgid_group.
    """
    prefix = "$queue_directory/"
    result = []
    for line in postfix_files.splitlines():
        fields = line.split(":")
        if fields[0].startswith(prefix) and fields[1:2] == ["d"]:
            _, _, owner, group, mode = fields[:5]
            result.append((fields[0][len(prefix):], owner, group,
                           int(mode, 8)))
    return result
