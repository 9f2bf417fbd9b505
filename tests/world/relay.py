"""The whole world in one object.

    with World(chroot=True, milter=True) as world:
        world.send(sender="scan@printers.local")
        message = world.submission.wait_for_messages(1)[0]

Everything is made by World(...), so a test can change world.conf, the
endpoint, the submission server and Postfix's parameters before start(), and
all but the files also afterwards. stop() ends what was started, by process
id, and removes the temporary directory.
"""

import email.utils
import os
import pwd
import re
import shutil
import tempfile
import uuid

from . import postfix_lines
from .application import Application, Secret
from .build import PLUGIN, Build
from .ca import CertificateAuthority, ClientCertificate
from .foreign_server import ForeignServer
from .graph import Graph
from .issuer import Issuer
from .leaks import find_leaks
from .milter import Milter
from .postfix import DEVICE, Postfix
from .registration import Registration
from .relay_conf import RelayConf
from .submission_server import SubmissionServer
from .token_endpoint import TokenEndpoint
from .tokend import Tokend

TEMPORARY = "XOAUTH2_WORLD_TMP"  # where the temporary directory goes
CREDENTIAL = "contoso"
TENANT = "contoso.onmicrosoft.com"
CLIENT_ID = "00001111-aaaa-2222-bbbb-3333cccc4444"
MAILBOX = "relay@contoso.com"
SEND_AS = ("alerts@contoso.com", "@printers.contoso.com")
RECIPIENT = "someone@example.com"
SERVER = "localhost"  # the submission server's name

# Below Postfix's queue directory; the same path in the jail and out of it.
TOKEND_SOCKET = "run/xoauth2/tokend.sock"
MILTER_SOCKET = "run/sendas/sendas.sock"


class World:
    """See above. Parts that were not asked for are None.

    chroot    Postfix in Debian's jail, or every service outside of it
    tokend, milter, postfix  which parts to have
    login_map True: tokend says who logs in; False: a password file does
    inherits  the daemons get their listening sockets from us, as from systemd
    verbose   -v for the daemons, so many times
    """

    def __init__(self, build=None, chroot=True, tokend=True, milter=False,
                 postfix=True, login_map=True, inherits=True, verbose=0,
                 environment=None):
        self.build = build if isinstance(build, Build) else Build(build)
        self.directory = tempfile.mkdtemp(
            prefix="xw-", dir=os.environ.get(TEMPORARY, "/tmp"))
        os.chmod(self.directory, 0o755)
        self.transport = postfix_lines.TRANSPORT if login_map \
            else postfix_lines.FILE_TRANSPORT
        self._stack = []  # what to call at the end, last first
        self._environment = dict(environment or {})
        self._options = {"arguments": ["-v"] * verbose,
                         "environment": self._environment}
        try:
            self._make_servers()
            self._make_postfix(chroot, postfix, milter)
            self._make_conf()
            self._make_daemons(tokend, milter, inherits)
        except BaseException:
            self.stop()
            raise

    # Life

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception):
        self.stop()

    def start(self):
        """Write relay.conf and start what is ours and Postfix."""
        self.write_conf()
        if self.transport == postfix_lines.FILE_TRANSPORT:
            self.write_passwords()
        for part in (self.tokend, self.milter, self.postfix):
            if part is not None:
                part.start()

    def stop(self):
        """Stop everything and remove every file. Twice is fine."""
        errors = []
        while self._stack:
            try:
                self._stack.pop()()
            except Exception as error:  # go on: the rest must end as well
                errors.append(error)
        shutil.rmtree(self.directory, ignore_errors=True)
        if errors:
            raise errors[0]

    def path(self, name):
        """A path below the temporary directory."""
        return os.path.join(self.directory, name)

    # Configuration

    def write_conf(self):
        """Write relay.conf from world.conf."""
        self.conf.write(self.conf_file)

    def reload(self):
        """Write relay.conf and have the daemons read it."""
        self.write_conf()
        for daemon in (self.tokend, self.milter):
            if daemon is not None:
                daemon.reload()

    def use_secrets(self, *secrets):
        """Register these Secrets, and configure them in that order."""
        self.application.secrets = list(secrets)
        self.conf.credential(CREDENTIAL, client_secret=[
            "file:" + self.write_secret(item.label, item.value)
            for item in secrets], certificate=None, private_key=None)

    def use_certificate(self, algorithm="PS256", certificate=None):
        """Register a ClientCertificate, and configure it; give it back."""
        certificate = certificate or ClientCertificate(self.path("clients"))
        self.application.certificates = [certificate]
        self.conf.credential(
            CREDENTIAL, client_secret=None,
            certificate="file:" + certificate.cert_file,
            private_key="file:" + certificate.key_file,
            assertion_algorithm=algorithm)
        return certificate

    def write_secret(self, label, value):
        """Write a secret to a file of mode 0600; give its path."""
        path = self.path(os.path.join("secrets", label))
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(value + "\n")
        return path

    def add_graph(self, **options):
        """Have Microsoft Graph for the application, and the credential renew
        itself there with these options of relay.conf; give it back."""
        self.graph = Graph(self.endpoint, self.ca.issue("localhost",
                                                        "127.0.0.1"))
        self.graph.register(Registration(self.application))
        self.graph.start()
        self._stack.append(self.graph.stop)
        self.conf.credential(CREDENTIAL, rotate="graph",
                             graph_url=self.graph.url, **options)
        return self.graph

    def add_mailbox(self, address, send_as=(), **options):
        """A mailbox of the relay and of the submission server."""
        self.conf.mailbox(address, credential=CREDENTIAL,
                          send_as=list(send_as) or None, **options)
        return self.submission.add_mailbox(address, send_as)

    def add_foreign_server(self, domain="foreign.example", **options):
        """Start a ForeignServer, which the relay is not configured for, and
        have mail for `domain` delivered to it by the relay's own transport.

        Its name is 127.0.0.1. Before start(), or reload Postfix afterwards.
        """
        server = ForeignServer(self.ca.issue("localhost"), **options)
        server.start()
        self._stack.append(server.stop)
        if self.postfix is not None:
            # A certificate's name is never an address to Postfix.
            nexthop = f"[127.0.0.1]:{server.port}"
            self.postfix.main_cf += (
                "transport_maps = inline:{ "
                f"{{ {domain} = {self.transport}:{nexthop} }} }}\n"
                "smtp_tls_policy_maps = inline:{ "
                f"{{ {nexthop} = secure match=localhost }} }}\n")
        return server

    # Mail

    def send(self, sender="scan@printers.contoso.com", recipients=RECIPIENT,
             message=None, **fields):
        """Hand one message to Postfix as a legacy device does.

        message  the whole of it, else compose() makes it of `fields`
        """
        if isinstance(recipients, str):
            recipients = [recipients]
        if message is None:
            fields.setdefault("From", sender)
            fields.setdefault("To", ", ".join(recipients))
            message = compose(**fields)
        self.postfix.send(sender, recipients, message)

    def logs(self):
        """Name and text of every log there is, for a failing test."""
        result = {}
        for name in sorted(os.listdir(self.directory)):
            if name.endswith(".log"):
                with open(self.path(name), encoding="utf-8",
                          errors="replace") as file:
                    result[name] = file.read()
        return result

    def secrets(self):
        """Everything secret that there was so far: in the application, in
        the token requests and in their answers."""
        found = {item.value for item in self.application.secrets}
        for request in list(self.endpoint.requests):
            found.update(request.form[name] for name in
                         ("client_secret", "client_assertion")
                         if name in request.form)
        if self.graph is not None:
            found.update(self.graph.secrets)
        return [*found, *self.endpoint.tokens]

    def leaks(self):
        """Which logs hold a secret, and what: (name, piece of a secret)."""
        secrets = self.secrets()
        return [(name, piece) for name, text in self.logs().items()
                for piece in find_leaks(text, secrets)]

    # Making the parts

    def _make_servers(self):
        self.graph = None  # until add_graph()
        self.ca = CertificateAuthority(self.path("ca"))
        certificate = self.ca.issue("localhost", "127.0.0.1")
        self.issuer = Issuer()
        self.endpoint = TokenEndpoint(self.issuer, certificate)
        self.application = self.endpoint.register(
            Application(CLIENT_ID, TENANT))
        self.endpoint.start()
        self._stack.append(self.endpoint.stop)
        self.submission = SubmissionServer(certificate, self.issuer)
        self.submission.add_mailbox(MAILBOX, SEND_AS)
        self.submission.start()
        self._stack.append(self.submission.stop)

    def _make_postfix(self, chroot, is_wanted, milter):
        self.postfix = None
        self._nexthop = f"[{SERVER}]:{self.submission.port}"
        self._password_file = self.path("sasl_passwd")
        if not is_wanted:
            self.socket_dir = self.path("spool")
            return
        plugins = self.path("plugins")
        if self.build.has(PLUGIN):
            os.mkdir(plugins)
            shutil.copy(self.build.path(PLUGIN), plugins)
        self.postfix = Postfix(
            self.directory, chroot,
            main_cf=self._main_cf(milter), master_cf=self._master_cf(),
            environment={"SASL_PATH": plugins, **self._environment})
        self._stack.append(self.postfix.release)
        self.socket_dir = self.postfix.queue_dir

    def _main_cf(self, milter):
        text = postfix_lines.main_cf(
            self.build.read_source(postfix_lines.MAIN_FILE),
            self._nexthop, self.transport)
        return text if milter else text + postfix_lines.NO_MILTER

    def _master_cf(self):
        is_commented = self.transport != postfix_lines.TRANSPORT
        return postfix_lines.master_cf(
            self.build.read_source(postfix_lines.MASTER_FILE),
            self.ca.ca_file, self._password_file,
            [self.transport] if is_commented else [])

    def write_passwords(self):
        """The password file as contrib/postfix says: a line for each mailbox
        that logs in as itself, and one for the server."""
        logins = [(title, title) for title in self.conf.mailboxes
                  if not title.startswith("@")]
        logins.append((self._nexthop, MAILBOX))
        self.postfix.write_table(self._password_file, [
            f"{key} {login}:unix:{TOKEND_SOCKET}" for key, login in logins])

    def _make_conf(self):
        self.conf_file = self.path("relay.conf")
        self.conf = RelayConf()
        self.conf.credential(
            CREDENTIAL, provider="microsoft", tenant=TENANT,
            client_id=CLIENT_ID, grant="client_credentials",
            token_url=self.endpoint.url(TENANT), ca_file=self.ca.ca_file)
        self.use_secrets(Secret(f"s3cret~{uuid.uuid4().hex}", "first"))
        self.conf.mailbox(MAILBOX, credential=CREDENTIAL,
                          send_as=list(SEND_AS))
        self.conf.relay(SERVER)
        self.conf.tokend(
            socket=[os.path.join(self.socket_dir, TOKEND_SOCKET),
                    self.path("tokend.sock")],
            control=self.path("control.sock"), allow=["postfix"],
            state=self.path("state/state.db"),
            login_password="unix:" + TOKEND_SOCKET)

    def _make_daemons(self, tokend, milter, inherits):
        self.tokend = self.milter = None
        self._make_socket_directories()
        os.mkdir(self.path("state"), 0o700)
        if tokend:
            options = self.conf.tokend_options
            self.tokend = Tokend(
                self.build, self.conf_file, self.directory,
                options["socket"], options["control"], inherits,
                **self._options)
            self._stack.append(self.tokend.release)
        if milter:
            self.milter = Milter(
                self.build, self.conf_file, self.directory,
                os.path.join(self.socket_dir, MILTER_SOCKET), inherits,
                **self._options)
            self._stack.append(self.milter.release)
            self.conf.milter(socket=self.milter.socket,
                             default_mailbox=MAILBOX)

    def _make_socket_directories(self):
        """As contrib/systemd's tmpfiles.d does; all of it is root's here."""
        group = pwd.getpwnam("postfix").pw_gid
        for name, mode, owner in (("run", 0o755, 0),
                                  (TOKEND_SOCKET, 0o755, 0),
                                  (MILTER_SOCKET, 0o2750, group)):
            folder = os.path.dirname(name) or name
            path = os.path.join(self.socket_dir, folder)
            os.makedirs(path, exist_ok=True)
            os.chown(path, 0, owner)
            os.chmod(path, mode)


def compose(body="Page 1\r\n", **fields):
    """A message as bytes; fields by name, From="…", Subject="…", …

    A list makes as many fields, an underscore in a name is a hyphen. Date and
    Message-ID are added.
    """
    fields.setdefault("Date", email.utils.formatdate())
    fields.setdefault("Message_ID", f"<{uuid.uuid4()}@{DEVICE}>")
    fields.setdefault("Subject", "Scan")
    lines = []
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        name = re.sub("_", "-", name)
        lines += [name.encode() + b": " + _bytes(item) for item in values
                  if item is not None]
    return b"\r\n".join(lines) + b"\r\n\r\n" + _bytes(body)


def _bytes(value):
    return value if isinstance(value, bytes) else value.encode("utf-8")
