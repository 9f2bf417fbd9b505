#!/bin/bash
# relay.conf(5) describes exactly the options that the tables of
# config_section_*.c have, each in its section with its default, and every word
# that an option takes.
# When it fails: bring the page and the table together.
set -u
cd "$(dirname "$0")/../.." || exit 2

exec /usr/bin/python3 -I - <<'PYTHON'
import glob
import re
import sys

PAGE = "token-daemon/relay.conf.5"
wrong = []


def tables(source):
    """{section: {option: default}}; None where there is no default."""
    texts = {name: re.findall(r'\\"(.*?)\\"', text) for name, text in re.findall(
        r'static char (\w+)\[\] = "(.*)";', join_strings(source))}
    found = {}
    for section, rows in re.findall(
            r"^static cfg_opt_t (\w+)_options\[\] = \{\n(.*?)^\};", source,
            re.M | re.S):
        options = found.setdefault(section, {})
        for name, rest in re.findall(
                r'(?:CFG_\w+\(|CONFIG_SECTION_ROW\(|\.name = )"(\w+)"(?:,\s*([^;]*?),)?', rows):
            options[name] = default(rest, texts)
    root = found.setdefault("root", {})
    for name in re.findall(
            r'return \(cfg_opt_t\)CONFIG_SECTION_ROW\("(\w+)"', source):
        root[name] = None
    root["include"] = None
    return found


def join_strings(source):
    """Adjacent string literals as one."""
    return re.sub(r'(?<!\\)"\s*\n\s*"', "", source)


def default(text, texts):
    text = text.strip()
    if text in texts:
        return texts[text]
    string = re.match(r'"(.*?)"', text)
    if string and string.group(1):
        return [string.group(1)]
    number = re.match(r"\d+", text)
    return [number.group(0)] if number else None


def plain(line):
    """A line of the page without its macros."""
    return re.sub(r"^\.\w+ |\\\(dq|\\&", "", line)


def page(text, sections):
    """{section: {option: its entry}}, nested sections beside the others."""
    found = {}
    stack = []
    section = option = None
    for line in text.splitlines():
        heading = re.match(r"\.S[sh] (\w+)", line)
        item = re.match(r"\.It Ic (\w+) No ([={])", line)
        if heading:
            section, stack, option = heading.group(1), [], None
            if section in sections:
                found.setdefault("root", {})[section] = ""
                found.setdefault(section, {})
        elif item:
            option = item.group(1)
            found.setdefault(section, {})[option] = ""
            if item.group(2) == "{":
                stack.append(section)
                section = option
                found.setdefault(section, {})
        elif line.startswith(".It Li include"):
            found.setdefault("root", {})["include"] = ""
        elif line == ".El" and stack:
            section, option = stack.pop(), None
        elif option in found.get(section, {}):
            found[section][option] += plain(line) + "\n"
    return found


source = ""
for path in sorted(glob.glob("common/config_section_*.c")):
    with open(path, encoding="utf-8") as file:
        source += file.read()
with open("common/config_value.c", encoding="utf-8") as file:
    values = file.read()
with open(PAGE, encoding="utf-8") as file:
    text = file.read()

table = tables(source)
written = page(text, table)
for section in sorted(set(table) | set(written)):
    options, entries = table.get(section, {}), written.get(section, {})
    wrong += [f"{PAGE}: {section}: {name} is missing"
              for name in options if name not in entries]
    wrong += [f"{PAGE}: {section}: {name} is not in the table"
              for name in entries if name not in options]
    for name, wants in options.items():
        told = entries.get(name, "").partition("Default:")[2]
        wrong += [f"{PAGE}: {section}: {name}: the default is {want}"
                  for want in wants or [] if want not in told]

words = re.findall(r"config_words_\w+\[\] = \{\n(.*?)^\};", values, re.M | re.S)
for word in re.findall(r'\{"([^"]+)",', "".join(words)):
    if not re.search(rf"^\.(?:It )?Li {re.escape(word)}(?: |$)", text, re.M):
        wrong.append(f"{PAGE}: the word {word} is not described")

counted = sum(len(options) for options in table.values())
if counted < 40 or len(words) < 6:
    wrong.append(f"only {counted} options and {len(words)} lists of words were "
                 "found in the sources: this check does not see them any more")
for line in wrong:
    print(line)
sys.exit(1 if wrong else 0)
PYTHON
