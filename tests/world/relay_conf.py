"""relay.conf, written from Python values.

    conf = RelayConf()
    conf.credential("contoso", provider="microsoft", client_id="…")
    conf.mailbox("relay@contoso.com", credential="contoso",
                 send_as=["alerts@contoso.com"])
    conf.tokend(refetch_interval=1)

Saying something again changes those options and leaves the others; None takes
an option away. Strings are quoted, lists become {…}, numbers stay.
"""

import os


class RelayConf:
    """The file's sections; `extra` is text that is appended as it is."""

    def __init__(self):
        self.credentials = {}
        self.mailboxes = {}
        self.relays = {}
        self.tokend_options = {}
        self.operators = {}
        self.milter_options = {}
        self.exempts = []
        self.routes = []
        self.extra = ""

    def credential(self, name, **options):
        self.credentials.setdefault(name, {}).update(options)

    def mailbox(self, title, **options):
        self.mailboxes.setdefault(title, {}).update(options)

    def relay(self, server, **options):
        self.relays.setdefault(server, {}).update(options)

    def tokend(self, **options):
        self.tokend_options.update(options)

    def operator(self, name, *verbs):
        self.operators[name] = {"verbs": verbs}

    def milter(self, **options):
        self.milter_options.update(options)

    def exempt(self, **options):
        self.exempts.append(options)

    def route(self, **options):
        self.routes.append(options)

    def text(self):
        """The whole file."""
        parts = []
        for kind, sections in (("credential", self.credentials),
                               ("mailbox", self.mailboxes),
                               ("relay", self.relays)):
            parts += [_section(f"{kind} {quote(title)}", options)
                      for title, options in sections.items()]
        if self.milter_options:
            inner = [_section("exempt", options) for options in self.exempts]
            inner += [_section("route", options) for options in self.routes]
            parts.append(_section("milter", self.milter_options, inner))
        inner = [_section(f"operator {quote(name)}", options)
                 for name, options in self.operators.items()]
        parts.append(_section("tokend", self.tokend_options, inner))
        return "\n".join(parts) + self.extra

    def write(self, path):
        """Replace the file whole."""
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(self.text())
        os.chmod(path + ".new", 0o644)
        os.replace(path + ".new", path)


def quote(text):
    """A string of libconfuse."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple, set)):
        return "{" + ", ".join(_value(item) for item in value) + "}"
    return quote(value)


def _section(head, options, inner=()):
    lines = [f"    {name} = {_value(value)}"
             for name, value in options.items() if value is not None]
    for section in inner:
        lines += ["    " + line for line in section.splitlines()]
    return "\n".join([head + " {", *lines, "}"]) + "\n"
