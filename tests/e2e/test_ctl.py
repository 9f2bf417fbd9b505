"""What operators type: looking on, the audit trail, coming from elsewhere."""

import contextlib
import json
import os
import re
import signal
import subprocess
import termios

import pytest

from world import fault
from world.build import CTL
from world.leaks import find_leaks
from world.socketmap import raw
from world.wait import wait_until

KEY = "relay@contoso.com host=localhost"
REFRESH_TOKEN = "0.planted~refresh~token"
COMPLETION = os.path.join(os.path.dirname(__file__), "..", "..", "contrib",
                          "bash-completion", "xoauth2ctl")


def _audit(made):
    rows = made.tokend.ctl_json("audit")["result"]["entries"]
    return [(row["who"], row["what"], row["detail"]) for row in rows]


def test_who_did_what_is_kept_over_a_restart(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    assert made.tokend.ctl("token", "who@else.example").returncode == 67
    want = [("root", "refresh", "relay@contoso.com: done"),
            ("root", "token", "who@else.example: unknown-mailbox")]
    assert _audit(made) == want
    made.tokend.stop()
    made.tokend.start()
    assert _audit(made) == want
    assert made.tokend.ctl("reload").returncode == 0
    printed = made.tokend.ctl("audit", "--count", "2").stdout.splitlines()
    assert len(printed) == 2 and printed[1].endswith("done")


def _control_as(made, user, verb, **fields):
    """What the daemon answers this user, whom the socket lets in."""
    with raw(made.tokend.control, user=user) as control:
        request = {"version": 1, "verb": verb, **fields}
        with contextlib.suppress(BrokenPipeError):  # refused already
            control.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(control.makefile().readline())


def test_who_may_only_look_gets_no_token(world):
    made = world(start=False, postfix=False, inherits=False)
    made.conf.tokend(control_read=["nobody"])
    made.start()
    made.tokend.ask("token", KEY)
    assert os.stat(made.tokend.control).st_mode & 0o777 == 0o666
    assert _control_as(made, "nobody", "status")["ok"]
    answer = _control_as(made, "nobody", "token", mailbox="relay@contoso.com")
    assert answer["error"]["code"] == "not-allowed"
    assert _control_as(made, "daemon", "status")["error"]["code"] == \
        "not-allowed"
    assert _audit(made) == [("nobody", "token", "relay@contoso.com: not-allowed"),
                            ("daemon", "control", "not-allowed")]


def test_an_operator_may_use_the_verbs_that_are_listed(world):
    made = world(start=False, postfix=False, inherits=False)
    made.conf.operator("group:nogroup", "status", "audit")
    made.start()
    assert os.stat(made.tokend.control).st_mode & 0o777 == 0o666

    def as_nobody(*words):
        return subprocess.run(
            [made.build.path(CTL), "-c", made.tokend.config_file, *words],
            user="nobody", group="nogroup", extra_groups=[], text=True,
            capture_output=True, timeout=30, check=False)

    assert as_nobody("status").returncode == 0
    for words in (["token", "relay@contoso.com"], ["reload"]):
        refused = as_nobody(*words)
        assert refused.returncode == 77, refused
        assert refused.stdout == ""
        assert f'operator section with verbs = {{"{words[0]}"}}' in refused.stderr
    with raw(made.tokend.control, user="nobody") as control:
        lines = control.makefile()

        def ask(verb):
            request = {"version": 1, "verb": verb}
            control.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(lines.readline())["ok"]

        assert [ask("status"), ask("reload")] == [True, False]
        made.conf.operator("group:nogroup", "reload")
        made.conf.write(made.tokend.config_file)
        assert made.tokend.ctl("reload").returncode == 0
        assert [ask("status"), ask("reload")] == [False, True]


def test_a_mailbox_is_for_those_whom_it_names(world):
    made = world(start=False, postfix=False)
    made.conf.tokend(allow=["postfix", "nobody", "daemon"])
    made.conf.mailbox("relay@contoso.com", allow=["postfix", "group:daemon"])
    made.start()
    assert made.tokend.ask("token", KEY, user="postfix").is_ok
    assert made.tokend.ask("token", KEY, user="daemon").is_ok
    reply = made.tokend.ask("token", KEY, user="nobody")
    assert (reply.status, reply.reason) == ("PERM", "not-allowed")
    assert _audit(made) == [
        ("nobody", "token", "relay@contoso.com: not-allowed")]


def test_every_refusal_is_in_the_trail_and_none_floods_it(world):
    """The first one at once, what follows it counted; also when it stops."""
    made = world(start=False, postfix=False, inherits=False)
    made.conf.tokend(allow=["postfix", "nobody"], control_read=["nobody"])
    made.start()
    for _ in range(5):
        made.tokend.ask("token", KEY, user="daemon")
        assert not _control_as(made, "daemon", "status")["ok"]
        assert not _control_as(made, "nobody", "reload")["ok"]
    made.tokend.ask("token", "relay@contoso.com host=evil.example",
                    user="nobody")
    want = [("daemon", "lookup", "not-allowed"),
            ("daemon", "control", "not-allowed"),
            ("nobody", "reload", "not-allowed"),
            ("nobody", "token",
             "relay@contoso.com host=evil.example: foreign-server")]
    assert _audit(made) == want
    made.tokend.stop()
    made.tokend.start()
    rest = "refused 4 more times, the last: not-allowed"
    assert sorted(_audit(made)) == sorted(want + [
        (who, what, rest) for who, what, _detail in want[:3]])


def test_status_is_watched_until_interrupted(world):
    made = world(postfix=False)
    made.tokend.ask("token", KEY)
    with subprocess.Popen(
            [made.build.path(CTL), "-c", made.tokend.config_file, "status",
             "--watch", "--interval", "1"],
            stdout=subprocess.PIPE, text=True) as watcher:
        seen = 0
        while seen < 2:
            seen += watcher.stdout.readline().startswith("MAILBOX")
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(timeout=10) == -signal.SIGINT


@pytest.mark.parametrize(("words", "status"), [
    ([], 64), (["what"], 64), (["status", "x"], 64), (["token"], 64),
    (["token", "a@b", "--min", "-1"], 64), (["token", "--what", "a@b"], 64),
    (["audit", "--count", "0"], 64), (["import", "exim", "/x"], 64),
    (["login", "a@b", "--refresh-token-file", "/nonexistent"], 66),
    (["login", "a@b", "--refresh-token-file", "/dev/null"], 65),
    (["import", "sasl-xoauth2", "/nonexistent"], 66),
    (["import", "sasl-xoauth2", "/dev/null"], 65),
    (["import", "/nonexistent"], 66),
    (["import", "/dev/null", "--passphrase-file", "/proc/version"], 65),
    (["import", "/dev/null", "--passphrase-file", "/nonexistent"], 66),
    (["rotate", "contoso", "--secret-file", "/nonexistent"], 66),
    (["rotate", "contoso", "--secret-file", "/dev/null"], 65),
    (["rotate", "contoso"], 64),
    (["export", "/nonexistent/x", "--passphrase-file", "/proc/version"], 73),
    (["export", "/proc/version", "--passphrase-file", "/proc/version"], 73),
    (["-s", "/nonexistent", "status"], 69), (["-c", "/nonexistent", "status"], 78),
    (["token", "\udcff"], 65),
    (["--version"], 0), (["--help"], 0), (["token", "--help"], 0),
])
def test_wrong_words_are_told(world, words, status):
    """By a status of sysexits(3), and with --json by one object."""
    made = world(postfix=False, start=False)
    result = made.tokend.ctl(*words)
    assert result.returncode == status
    assert result.stderr if status else result.stdout
    if status:
        assert result.stdout == ""
        result = made.tokend.ctl("--json", *words)
        assert result.returncode == status
        answer = json.loads(result.stdout)
        assert (answer["version"], answer["ok"]) == (1, False)
        assert answer["error"]["code"] in (
            "usage", "bad-input", "no-input", "no-output", "unreachable",
            "bad-configuration")
        assert answer["error"]["text"]


def test_a_reload_tells_what_the_log_warns_of(world):
    made = world(start=False, postfix=False)
    made.conf.tokend(control_allow=["root"])
    made.start()
    assert made.tokend.ctl_json("reload")["result"] == {"warnings": []}
    made.conf.tokend(metrics="127.0.0.1:1", allow=["postfix", "no-such-user"])
    made.conf.write(made.tokend.config_file)
    result = made.tokend.ctl("reload")
    assert (result.returncode, result.stdout) == (0, "reloaded\n")
    assert "metrics changed in relay.conf; that takes a restart" in \
        result.stderr
    assert "an account does not exist here" in result.stderr
    warnings = made.tokend.ctl_json("reload")["result"]["warnings"]
    assert any("user=no-such-user" in warning for warning in warnings)
    for warning in warnings:
        assert made.tokend.log.lines(warning)


def _plugin_files(made, mailbox):
    """What the C++ plugin leaves: its configuration, a token file, a map."""
    config = made.write_secret("sasl-xoauth2.conf", json.dumps(
        {"client_id": "the-client", "client_secret": "planted~client~secret",
         "token_endpoint": "https://login.microsoftonline.com/"
                           "contoso.com/oauth2/v2.0/token"}))
    token = made.write_secret("token-file", json.dumps(
        {"access_token": "old", "expiry": "1", "refresh_token": REFRESH_TOKEN}))
    where = made.write_secret("sasl_passwd", f"# Exchange\n[localhost]:587 "
                                             f"{mailbox}:{token}\n")
    return config, token, where


def test_token_files_of_the_plugin_before_are_taken_over(world):
    made = world(start=False, postfix=False, verbose=3)
    made.conf.credential("contoso", grant="authorization_code")
    made.endpoint.refresh_tokens.add(REFRESH_TOKEN)
    config, _token, where = _plugin_files(made, "relay@contoso.com")
    made.start()
    result = made.tokend.ctl("import", "sasl-xoauth2", "--plugin-config",
                             config, where)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "relay@contoso.com: signed in, and has a token\n"
    assert made.tokend.ask("token", KEY).is_ok
    for name, text in made.logs().items():
        assert find_leaks(text, [REFRESH_TOKEN]) == [], name


def test_what_relay_conf_lacks_is_printed_and_works(world, tmp_path):
    made = world(start=False, postfix=False)
    config, token, _where = _plugin_files(made, "else@contoso.com")
    made.start()
    result = made.tokend.ctl("import", "sasl-xoauth2", "--plugin-config",
                             config, "--secrets", str(tmp_path), "--mailbox",
                             "else@contoso.com", token)
    assert result.returncode == 67
    assert "add what is printed" in result.stderr
    assert "planted" not in result.stdout + result.stderr
    secret = tmp_path / "sasl-xoauth2-1"
    assert secret.read_text() == "planted~client~secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    printed = tmp_path / "printed.conf"
    printed.write_text(result.stdout)
    assert made.tokend.run_once("-t", config_file=str(printed)).returncode == 0


def _signed_in(world, **options):
    """A world whose mailbox has a single-use refresh token."""
    made = world(start=False, postfix=False, **options)
    made.conf.credential("contoso", grant="authorization_code")
    made.endpoint.refresh_tokens.add(REFRESH_TOKEN)
    made.start()
    path = made.write_secret("refresh", REFRESH_TOKEN)
    assert made.tokend.ctl("login", "relay@contoso.com",
                           "--refresh-token-file", path).returncode == 0
    return made


def test_what_is_held_moves_to_another_host(world, tmp_path):
    made = _signed_in(world, verbose=3)
    token = made.tokend.ask("token", KEY).data.split()[1]
    phrase = made.write_secret("passphrase", "planted correct horse")
    moved = str(tmp_path / "moved")
    result = made.tokend.ctl("export", moved, "--passphrase-file", phrase)
    assert (result.returncode, result.stderr) == (0, "")
    assert os.stat(moved).st_mode & 0o777 == 0o600
    with open(moved, encoding="ascii") as file:
        text = file.read()
    secrets = [*made.secrets(), REFRESH_TOKEN, token, "correct horse",
               *made.endpoint.refresh_tokens]
    assert find_leaks(text, secrets) == []
    # The other host: it knows nothing of the first one's state.
    made.tokend.stop()
    for name in os.listdir(made.path("state")):
        os.unlink(made.path("state/" + name))
    made.tokend.start()
    assert made.tokend.ask("token", KEY).reason == "needs-login"
    result = made.tokend.ctl("import", moved, "--passphrase-file", phrase)
    assert (result.returncode, result.stderr) == (0, "")
    assert made.tokend.ask("token", KEY).data.split()[1] == token
    made.tokend.restart()
    assert made.tokend.ask("token", KEY).data.split()[1] == token
    assert made.tokend.ctl("refresh", "relay@contoso.com").returncode == 0
    for name, log in made.logs().items():
        assert find_leaks(log, secrets) == [], name


def test_a_file_that_is_not_right_is_not_taken(world, tmp_path):
    made = _signed_in(world)
    phrase = made.write_secret("passphrase", "correct horse")
    short = made.write_secret("short", "horse")
    wrong = made.write_secret("wrong", "another horse")
    moved = tmp_path / "moved"
    assert made.tokend.ctl("export", str(moved), "--passphrase-file",
                           short).returncode == 65
    assert not moved.exists()
    assert made.tokend.ctl("export", str(moved), "--passphrase-file",
                           phrase).returncode == 0
    # Nothing is ever overwritten.
    assert made.tokend.ctl("export", str(moved), "--passphrase-file",
                           phrase).returncode == 73
    assert made.tokend.ctl("logout", "relay@contoso.com").returncode == 0
    lines = moved.read_text().splitlines(keepends=True)
    cut, swapped, garbage, more = (tmp_path / name for name in "csgm")
    more.write_text("".join(lines) + "garbage\n")
    cut.write_text("".join(lines[:-1]))
    swapped.write_text(lines[0] + lines[1].replace("token", "other", 1) +
                       "".join(lines[2:]))
    garbage.write_text("x")
    for file, secret, complaint in (
            (moved, wrong, "another passphrase"), (cut, phrase, "cut short"),
            (more, phrase, "goes on after its last line"),
            (swapped, phrase, "was changed"), (garbage, phrase, "this is no file"),
            (tmp_path / "none", phrase, "No such file")):
        result = made.tokend.ctl("import", str(file), "--passphrase-file",
                                 secret)
        assert result.returncode == (66 if complaint == "No such file" else 65)
        assert complaint in result.stderr
    assert made.tokend.ask("token", KEY).reason == "needs-login"


def _read_until(fd, text):
    """What a terminal shows, up to that; None: to the end."""
    shown = b""
    while text is None or text not in shown:
        try:
            piece = os.read(fd, 4096)
        except OSError:  # nobody has it any more
            piece = b""
        if not piece:
            assert text is None, shown
            break
        shown += piece
    return shown


@pytest.mark.parametrize("keys, status", [
    ([b"\x03"], 130),
    ([b"planted correct horse\n", b"\x03"], 130),
    ([b"planted correct horse\n"] * 2, 0),
])
def test_the_terminal_is_as_it_was_after_the_passphrase(world, tmp_path, keys,
                                                       status):
    made = _signed_in(world)
    moved = tmp_path / "moved"
    ours, theirs = os.openpty()
    # The shell keeps the terminal: when its session ends it is reset.
    with subprocess.Popen(
            ["setsid", "-c", "sh", "-c",
             'trap : INT; "$@"; echo "status $?"; stty -a', "sh",
             made.build.path(CTL), "-c", made.conf_file, "export", str(moved)],
            stdin=theirs, stdout=theirs, stderr=theirs):
        shown = b""
        for prompt, key in zip((b"Passphrase: ", b"same again: "), keys):
            shown += _read_until(ours, prompt)
            wait_until(lambda: not termios.tcgetattr(theirs)[3] & termios.ECHO,
                       what="the terminal to hide what is typed")
            os.write(ours, key)
        os.close(theirs)
        shown += _read_until(ours, None)
    os.close(ours)
    assert b"planted" not in shown
    assert f"status {status}".encode() in shown
    assert re.search(rb"[ \n]echo ", shown), shown
    assert moved.exists() == (status == 0)


def _complete(made, *words):
    """What bash would offer for the last word."""
    script = (f'. "{COMPLETION}"; COMP_WORDS=("$@"); '
              'COMP_CWORD=$(($# - 1)); _xoauth2ctl "$1" "${@: -1}" '
              '"${@: -2:1}"; printf "%s\\n" "${COMPREPLY[@]}"')
    return subprocess.run(
        ["bash", "-c", script, "bash", made.build.path(CTL), *words],
        capture_output=True, text=True, timeout=30, check=True
    ).stdout.split()


def test_bash_completes_verbs_options_and_mailboxes(world):
    made = world(postfix=False)
    config = made.tokend.config_file
    assert _complete(made, "re") == ["refresh", "reload"]
    assert "--watch" in _complete(made, "status", "--")
    assert _complete(made, "import", "/etc/host")[0].startswith("/etc/host")
    assert _complete(made, "-c", config, "au") == ["audit"]


def _rename_credential(conf, old, new):
    conf.credentials[new] = conf.credentials.pop(old)
    for options in conf.mailboxes.values():
        options["credential"] = new


def test_a_reload_within_a_reload_changes_nothing(world):
    """Who waits for a token is told when a reload takes its credential, and
    asks for another reload in the same breath."""
    made = world(start=False, postfix=False)
    made.endpoint.fail(fault.slow(3))
    made.start()
    with raw(made.tokend.control) as control:
        control.sendall(b"".join(
            json.dumps({"version": 1, **fields}).encode() + b"\n"
            for fields in ({"verb": "token", "mailbox": "relay@contoso.com"},
                           {"verb": "reload"})))
        made.endpoint.wait_for_requests(1)
        _rename_credential(made.conf, "contoso", "fabrikam")
        made.conf.write(made.conf_file)
        assert made.tokend.ctl("reload").returncode == 0
        answers = control.makefile()
        first, second = (json.loads(answers.readline()) for _ in range(2))
    assert first["error"]["code"] == "unknown-mailbox"
    assert "just now" in second["error"]["text"]
    assert made.tokend.ctl("reload").returncode == 0
    assert made.tokend.ask("token", KEY, timeout=20).is_ok
