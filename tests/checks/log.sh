#!/bin/bash
# What the manual pages list under DIAGNOSTICS as lines of the log is what the
# programs say, word by word; and each error and warning is listed, but for those
# of memory that ran out.
# When it fails: bring the page and the message together.
set -u
cd "$(dirname "$0")/../.." || exit 2

exec /usr/bin/python3 -I - <<'PYTHON'
import pathlib
import re
import sys

PAGES = {
    "token-daemon": ("token-daemon/xoauth2-tokend.8",),
    "milter": ("milter/sendas-milter.8",),
    # What both daemons say stands in the page of each, or in that of the file.
    "common": ("token-daemon/xoauth2-tokend.8", "milter/sendas-milter.8"),
}
SETTINGS = "token-daemon/relay.conf.5"
STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
CALL = re.compile(
    r'\b(?:log_(?:error|warning)\(|LOG_AT\(\w+, |log_failure\(writer, )'
    r'(?:\w+ \? |[\w>.-]+ == \w+ \? )?'
    r'("(?:[^"\\]|\\.)*"(?: : "(?:[^"\\]|\\.)*")?)')
wrong = []


def joined(path):
    """A source with the parts of each literal and all blanks put together."""
    text = re.sub(r'(?<!\\)"\s*\n\s*"', "", path.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", text).replace("( ", "(")


def listed(page):
    """The beginnings of lines that a page lists."""
    text = pathlib.Path(page).read_text(encoding="utf-8")
    items = re.findall(r'^\.It "([^"]+)"$', text, re.M)
    return [item.removesuffix(" ...") for item in items]


pages = {page: listed(page)
         for page in {SETTINGS, *(p for ps in PAGES.values() for p in ps)}}
sources = {path: joined(path) for folder in PAGES
           for path in sorted(pathlib.Path(folder).glob("*.c"))}
literals = [literal for text in sources.values()
            for literal in STRING.findall(text)]
counted = 0
for page, items in sorted(pages.items()):
    if page == SETTINGS:
        items = [item for item in items if "FILE" not in item]
    wrong += [f"{page}: nobody says: {item}" for item in items
              if not any(literal.startswith(item) for literal in literals)]
for path, text in sources.items():
    for call in CALL.findall(text):
        for message in STRING.findall(call):
            counted += 1
            if "out of memory" in message or "memory is out" in message:
                continue
            wrong += [
                f"{path}: {page} does not list: {message}"
                for page in PAGES[path.parts[0]]
                if not any(message.startswith(item)
                           for item in pages[page] + pages[SETTINGS])]
if counted < 100:
    wrong.append(f"only {counted} messages were found in the sources: this "
                 "check does not see them any more")
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
PYTHON
