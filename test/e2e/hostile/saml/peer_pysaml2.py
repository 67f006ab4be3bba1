#!/usr/bin/python3
"""The verdict of pysaml2 (Debian: python3-pysaml2, xmlsec1), one JSON line per response.

The first line of standard input is the world: {"metadata", "sp_key", "sp_cert", "sp", "acs", "request", "now"}; each further
one is {"response": "<base64>"}. Each answer is {"ok": true, "identity": {...}} or {"ok": false, "message": "..."}.
"""
import calendar
import datetime
import json
import logging
import os
import sys
import tempfile
import time
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

world = json.loads(sys.stdin.readline())
now = calendar.timegm(time.strptime(world["now"], "%Y-%m-%dT%H:%M:%SZ"))

# pysaml2 asks the process's clock; it is told the world's instant instead.
real_gmtime = time.gmtime
time.gmtime = lambda at=None: real_gmtime(now if at is None else at)

import saml2.time_util  # noqa: E402 - after the clock is set


class Fixed(datetime.datetime):
    """datetime, at the world's instant."""

    @classmethod
    def utcnow(cls):
        return cls.utcfromtimestamp(now)


saml2.time_util.datetime = Fixed

from saml2 import BINDING_HTTP_POST  # noqa: E402
from saml2.client import Saml2Client  # noqa: E402
from saml2.config import SPConfig  # noqa: E402


def client(folder):
    """A service provider that wants the assertion or the response signed, as ours does."""
    paths = {}
    for name in ("metadata", "sp_key", "sp_cert"):
        paths[name] = os.path.join(folder, name)
        with open(paths[name], "w", encoding="utf-8") as file:
            file.write(world[name])
    pair = {"key_file": paths["sp_key"], "cert_file": paths["sp_cert"]}
    config = SPConfig()
    config.load({
        "entityid": world["sp"], "xmlsec_binary": "/usr/bin/xmlsec1", "accepted_time_diff": 60, "allow_unknown_attributes": True,
        "metadata": {"local": [paths["metadata"]]}, "encryption_keypairs": [pair], **pair,
        "service": {"sp": {
            "endpoints": {"assertion_consumer_service": [(world["acs"], BINDING_HTTP_POST)]}, "allow_unsolicited": False,
            "want_response_signed": False, "want_assertions_signed": False, "want_assertions_or_response_signed": True,
        }},
    })
    return Saml2Client(config=config)


def verdict(sp, response):
    """What pysaml2 says about one response. Whatever it throws is a refusal."""
    try:
        answer = sp.parse_authn_request_response(response, BINDING_HTTP_POST, outstanding={world["request"]: "/"})
        if answer is None or answer.assertion is None:
            return {"ok": False, "message": "no answer"}
        name = answer.name_id.text if answer.name_id is not None else None
        return {"ok": True, "identity": {"issuer": answer.assertion.issuer.text if answer.assertion.issuer is not None else None, "name_id": name, "assertion_id": answer.assertion.id}}
    except Exception as problem:  # pylint: disable=broad-except
        words = (str(problem) or type(problem).__name__).splitlines()
        return {"ok": False, "message": f"{type(problem).__name__}: {words[0][:160] if words else ''}"}


def main():
    with tempfile.TemporaryDirectory(prefix="daypass-pysaml2-") as folder:
        sp = client(folder)
        for line in sys.stdin:
            # pysaml2 prints now and then; only answers may reach standard output.
            out, sys.stdout = sys.stdout, sys.stderr
            answer = verdict(sp, json.loads(line)["response"])
            sys.stdout = out
            print(json.dumps(answer), flush=True)


main()
