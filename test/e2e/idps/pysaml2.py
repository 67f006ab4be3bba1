"""A SAML identity provider around pysaml2's Server: HTTP, the login page and the sessions; pysaml2 makes and reads messages.

pysaml2.py CONFIG.json, written by pysaml2.mjs: {origin, folder, key, cert, spMetadata: [file], users, sign, encrypt}.
"""
import functools
import hmac
import html
import json
import os
import secrets
import sys
from urllib.parse import parse_qsl
from wsgiref.simple_server import WSGIRequestHandler, make_server

import saml2.entity
from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT, saml
from saml2.config import IdPConfig
from saml2.metadata import entity_descriptor
from saml2.server import Server
from saml2.sigver import pre_encryption_part, verify_redirect_signature
from saml2.xmldsig import DIGEST_SHA256, SIG_RSA_SHA256

with open(sys.argv[1], encoding="utf-8") as f:
    conf = json.load(f)
origin, folder, users = conf["origin"], conf["folder"], {u["name"]: u for u in conf["users"]}
PASSWORD_CLASS = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"

# pysaml2 encrypts with Triple DES and has no option for another cipher; what an installation that wants one must patch.
CIPHERS = {
    "aes128-gcm": ("http://www.w3.org/2009/xmlenc11#aes128-gcm", "aes-128"),
    "aes256-gcm": ("http://www.w3.org/2009/xmlenc11#aes256-gcm", "aes-256"),
    "aes128-cbc": ("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "aes-128"),
    "aes256-cbc": ("http://www.w3.org/2001/04/xmlenc#aes256-cbc", "aes-256"),
    "tripledes-cbc": None,
}


def attribute_map():
    """Names go out as they are: the maps that come with pysaml2 turn displayName into an OID or a URN."""
    names = {"groups"}.union(*(u.get("attributes", {}) for u in users.values()))
    maps = os.path.join(folder, "maps")
    os.mkdir(maps)
    table = {n: n for n in names}
    with open(os.path.join(maps, "plain.py"), "w", encoding="utf-8") as out:
        out.write(f"MAP = {{'identifier': {saml.NAME_FORMAT_BASIC!r}, 'fro': {table!r}, 'to': {table!r}}}\n")
    return maps


class Idp(Server):
    """Remembers the index of the session that it put into the last assertion; a logout request names it."""

    session_index = None

    def setup_assertion(self, *args, **kwargs):
        assertion = super().setup_assertion(*args, **kwargs)
        statement = assertion.authn_statement
        self.session_index = (statement[0] if isinstance(statement, list) else statement).session_index
        return assertion


config = IdPConfig()
config.load({
    "entityid": f"{origin}/metadata",
    "key_file": conf["key"],
    "cert_file": conf["cert"],
    "xmlsec_binary": "/usr/bin/xmlsec1",
    "accepted_time_diff": 60,
    "attribute_map_dir": attribute_map(),
    "metadata": {"local": conf["spMetadata"]},
    "service": {"idp": {
        # Without these two this release signs with SHA-1; it looks for them here, not beside key_file.
        "signing_algorithm": SIG_RSA_SHA256,
        "digest_algorithm": DIGEST_SHA256,
        "endpoints": {
            "single_sign_on_service": [(f"{origin}/sso", BINDING_HTTP_REDIRECT), (f"{origin}/sso", BINDING_HTTP_POST)],
            "single_logout_service": [(f"{origin}/slo", BINDING_HTTP_REDIRECT), (f"{origin}/slo", BINDING_HTTP_POST)],
        },
        "name_id_format": [saml.NAMEID_FORMAT_PERSISTENT],
        "subject_data": ("dict", {}),
        "policy": {"default": {
            "lifetime": {"minutes": 5}, "name_form": saml.NAME_FORMAT_BASIC, "nameid_format": saml.NAMEID_FORMAT_PERSISTENT,
        }},
    }},
})
idp = Idp(config=config)
if CIPHERS.get(conf.get("encrypt")):
    uri, session_key = CIPHERS[conf["encrypt"]]
    saml2.entity.pre_encryption_part = functools.partial(pre_encryption_part, msg_enc=uri)
    encrypt = idp.sec.crypto.encrypt_assertion
    idp.sec.crypto.encrypt_assertion = lambda *args, **kwargs: encrypt(*args, **{**kwargs, "key_type": session_key})
    idp.sec.encrypt_assertion = idp.sec.crypto.encrypt_assertion

sessions = {}   # cookie -> {"user": name, "participants": [{"sp", "name_id", "index"}]}
waiting = {}    # id of a login form -> the request that it is for
logouts = {}    # RelayState of a logout request of ours -> (cookie, sp)


class Refused(Exception):
    """A message that this provider does not take; the text says why."""


def message(query, body):
    """(parameters, binding) of a SAML message."""
    if "SAMLRequest" in body or "SAMLResponse" in body:
        return body, BINDING_HTTP_POST
    return query, BINDING_HTTP_REDIRECT


def check_query_signature(params, binding, sp):
    """pysaml2 itself looks only at signatures inside the XML, never at the one in the query of a redirect."""
    if binding != BINDING_HTTP_REDIRECT or "Signature" not in params:
        return
    msg = {k: v for k, v in params.items() if k in ("SAMLRequest", "SAMLResponse", "RelayState", "SigAlg", "Signature")}
    certs = [c[1] if isinstance(c, tuple) else c for c in idp.metadata.certs(sp, "spsso", "signing")]
    if not any(verify_redirect_signature(msg, idp.sec.sec_backend, cert) for cert in certs):
        raise Refused("the signature of the request does not hold")


def respond(http, session_id, params, binding):
    """The page that carries our response to the service provider."""
    session = sessions[session_id]
    user = users[session["user"]]
    if "SAMLRequest" in params:
        request = idp.parse_authn_request(params["SAMLRequest"], binding).message
        check_query_signature(params, binding, request.issuer.text)
        acs = [a["location"] for a in idp.metadata.assertion_consumer_service(request.issuer.text, BINDING_HTTP_POST)]
        # pysaml2 would answer to the default address; its own verify_assertion_consumer_service raises AttributeError.
        if request.assertion_consumer_service_url not in (None, *acs):
            raise Refused("the metadata of the service provider has no such assertion consumer service")
        args = idp.response_args(request, [BINDING_HTTP_POST])
        args.pop("binding")
    else:
        _, acs = idp.pick_binding("assertion_consumer_service", [BINDING_HTTP_POST], "spsso", entity_id=params["sp"])
        args = {"in_response_to": None, "destination": acs, "sp_entity_id": params["sp"], "name_id_policy": None}
    sign = conf.get("sign", "both")
    made = idp.create_authn_response(
        {**user.get("attributes", {}), "groups": user.get("groups", [])}, userid=session["user"],
        authn={"class_ref": PASSWORD_CLASS, "authn_auth": idp.config.entityid},
        sign_response=sign != "assertion", sign_assertion=sign != "response",
        encrypt_assertion=bool(conf.get("encrypt")), encrypt_assertion_self_contained=True, **args)
    name_id = idp.ident.find_nameid(session["user"], sp_name_qualifier=args["sp_entity_id"])
    session["participants"].append({"sp": args["sp_entity_id"], "name_id": name_id[0], "index": idp.session_index})
    sent = idp.apply_binding(BINDING_HTTP_POST, str(made), args["destination"], params.get("RelayState", ""), response=True)
    return http.page(sent["data"])


def sso(http, query, body):
    params, binding = message(query, body)
    if http.session_id in sessions:
        return respond(http, http.session_id, params, binding)
    login_id = secrets.token_hex(16)
    waiting[login_id] = (params, binding)
    return login_page(http, login_id)


def login_page(http, login_id, note="", status="200 OK"):
    return http.page(f'<!doctype html><title>Sign in</title><p>{html.escape(note)}</p><form method="post" action="/login">'
                     f'<input type="hidden" name="request" value="{login_id}"><input name="username">'
                     f'<input type="password" name="password"><button>Sign in</button></form>', status)


def login(http, _query, body):
    if body.get("request") not in waiting:
        raise Refused("nobody waits for this login")
    user = users.get(body.get("username", ""))
    if not user or not hmac.compare_digest(user["password"].encode(), body.get("password", "").encode()):
        return login_page(http, body["request"], "Wrong name or password.", "401 Unauthorized")
    session_id = secrets.token_hex(16)
    sessions[session_id] = {"user": user["name"], "participants": []}
    http.headers.append(("Set-Cookie", f"idp={session_id}; HttpOnly; Path=/"))
    return respond(http, session_id, *waiting.pop(body["request"]))


def slo(http, query, body):
    params, binding = message(query, body)
    if "SAMLRequest" in params:
        request = idp.parse_logout_request(params["SAMLRequest"], binding).message
        check_query_signature(params, binding, request.issuer.text)
        user = idp.ident.find_local_id(request.name_id)
        indexes = [s.text for s in request.session_index]
        for session_id, session in list(sessions.items()):
            if session["user"] == user and (not indexes or any(p["index"] in indexes for p in session["participants"])):
                del sessions[session_id]
        made = idp.create_logout_response(request, [binding], sign=binding == BINDING_HTTP_POST)
        _, place = idp.pick_binding("single_logout_service", [binding], "spsso", request)
        return http.send(idp.apply_binding(binding, str(made), place, params.get("RelayState", ""), response=True, sign=True))
    if params.get("RelayState") not in logouts:
        raise Refused("an answer to no logout request of ours")
    session_id, sp = logouts.pop(params["RelayState"])
    check_query_signature(params, binding, sp)
    sessions.pop(session_id, None)
    return http.page("<p>Signed out.</p>")


def logout(http, _query, _body):
    """Logout begun here: a request to the last service provider of the session."""
    if http.session_id not in sessions:
        raise Refused("no session to end")
    last = sessions[http.session_id]["participants"][-1]
    binding, place = idp.pick_binding("single_logout_service", [BINDING_HTTP_REDIRECT], "spsso", entity_id=last["sp"])
    _, made = idp.create_logout_request(place, last["sp"], name_id=last["name_id"], session_indexes=[last["index"]], sign=False)
    relay = secrets.token_hex(16)
    logouts[relay] = (http.session_id, last["sp"])
    return http.send(idp.apply_binding(binding, str(made), place, relay, sign=True))


def metadata(http, _query, _body):
    return http.page(str(entity_descriptor(config)), content_type="application/xml")


class Http:
    """One exchange: what the routes above need to answer it."""

    def __init__(self, environ, start_response):
        self.start_response = start_response
        self.headers = []
        cookies = dict(c.strip().partition("=")[::2] for c in environ.get("HTTP_COOKIE", "").split(";"))
        self.session_id = cookies.get("idp")

    def page(self, text, status="200 OK", content_type="text/html; charset=utf-8"):
        self.start_response(status, [("Content-Type", content_type), *self.headers])
        return [(text if isinstance(text, str) else "".join(text)).encode()]

    def send(self, sent):
        """What apply_binding made: a redirect or a page with a form."""
        if sent["method"] == "GET":
            self.start_response("302 Found", [("Location", dict(sent["headers"])["Location"]), *self.headers])
            return [b""]
        return self.page(sent["data"])


ROUTES = {"/metadata": metadata, "/sso": sso, "/login": login, "/slo": slo, "/logout": logout}


def app(environ, start_response):
    http = Http(environ, start_response)
    route = ROUTES.get(environ["PATH_INFO"])
    if not route:
        return http.page("not here", "404 Not Found")
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = dict(parse_qsl(environ["wsgi.input"].read(size).decode(), keep_blank_values=True))
    try:
        return route(http, query, body)
    except Exception as exc:  # pysaml2 raises its refusals as exceptions of many classes
        sys.excepthook(*sys.exc_info())
        return http.page(html.escape(f"refused: {type(exc).__name__}: {exc}"), "400 Bad Request")


class Quiet(WSGIRequestHandler):
    def log_message(self, format, *args):  # the argument's name is the base class's
        pass


make_server("127.0.0.1", int(origin.rsplit(":", 1)[1]), app, handler_class=Quiet).serve_forever()
