"""The lines of contrib/postfix, as a world needs them. Pure functions.

The tests run what an administrator is told to write: nothing is changed but
the server, the file with its CA, and paths that do not exist here.
"""

import re

MAIN_FILE = "contrib/postfix/main.cf.relay"
MASTER_FILE = "contrib/postfix/master.cf.relay"
TRANSPORT = "relay-oauth"            # logs in by tokend's `login` map
FILE_TRANSPORT = "relay-oauth-file"  # logs in by a password file

_SERVER = "[smtp.office365.com]:587"
_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
_PASSWORD_FILE = "/etc/postfix/sasl_passwd"

NO_MILTER = ("smtpd_milters =\nnon_smtpd_milters =\n"
             "internal_mail_filter_classes =\n")


def main_cf(text, server, transport):
    """main.cf.relay for `server` ("[HOST]:PORT") and one of the transports."""
    text = _replace(text, _SERVER, server)
    if transport != TRANSPORT:
        text = re.sub(rf"^{TRANSPORT}_", transport + "_", text, flags=re.M)
        text = _replace(text, f"default_transport = {TRANSPORT}\n",
                        f"default_transport = {transport}\n")
    return text


def master_cf(text, ca_file, password_file, services=()):
    """master.cf.relay with `services` that are comments there made lines."""
    for service in services:
        text = uncomment(text, service)
    text = _replace(text, _CA_FILE, ca_file)
    return text.replace(_PASSWORD_FILE, password_file)


def add_pool(main, master, mailboxes):
    """Both files with what they say in comments of a pool: a transport for
    each mailbox but the first."""
    names = {mailbox: f"{TRANSPORT}{number}"
             for number, mailbox in enumerate(mailboxes[1:], 2)}
    maps = "".join(f"    {{ {mailbox} = {name} }}\n"
                   for mailbox, name in names.items())
    main = _replace(main, "#sender_dependent_default_transport_maps = "
                    "inline:{\n"
                    f"#    {{ relay2@contoso.com = {TRANSPORT}2 }} }}\n",
                    "sender_dependent_default_transport_maps = inline:{\n" +
                    maps + "    }\n")
    lines = re.findall(rf"^#({TRANSPORT}2_.*\n)", main, flags=re.M)
    if len(lines) != 2:
        raise ValueError(f"the parameters of {TRANSPORT}2 are not there")
    entry = re.search(rf"^{TRANSPORT}2\s.*\n(?:\s+-o .*\n)*",
                      uncomment(master, TRANSPORT + "2"), flags=re.M).group(0)
    for name in names.values():
        main += "".join(lines).replace(TRANSPORT + "2", name)
        master += entry.replace(TRANSPORT + "2", name)
    return main, master


def uncomment(text, service):
    """Make the commented entry that begins with `service` an entry."""
    pattern = rf"^#{re.escape(service)}\s.*\n(?:#\s+-o .*\n)*"
    match = re.search(pattern, text, flags=re.M)
    if match is None:
        raise ValueError(f"no commented entry {service}")
    entry = re.sub(r"^#", "", match.group(0), flags=re.M)
    return text[:match.start()] + entry + text[match.end():]


def _replace(text, old, new):
    if old not in text:
        raise ValueError(f"{old!r} is not there any more")
    return text.replace(old, new)
