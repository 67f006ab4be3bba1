// npm samlp (Auth0's library) as a SAML identity provider. The library makes and reads messages; the HTTP server, the
// login page and the sessions around it are here.
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { randomBytes, createPublicKey, timingSafeEqual, createHash } from 'node:crypto';
import samlp from 'samlp';
import SessionParticipants from 'samlp/lib/sessionParticipants/index.js';
import { keyPair, folderOf, freePort, escape, signIn, signOut, persistent, bindings, ciphers } from './parts.mjs';

// samlp has no option for SessionNotOnOrAfter, so it is written into the assertion just before the library signs it.
const sessionEnds = new Map();  // SessionIndex → when
const signer = createRequire(createRequire(import.meta.url).resolve('samlp'))('saml/lib/xml/sign.js');
const { unsigned } = signer;
signer.unsigned = (doc, ...rest) => {
  const statement = doc.getElementsByTagName('saml:AuthnStatement')[0];
  const end = sessionEnds.get(statement.getAttribute('SessionIndex'));
  if (end) statement.setAttribute('SessionNotOnOrAfter', end.toISOString());
  return unsigned(doc, ...rest);
};

const same = (a, b) => timingSafeEqual(...[a, b].map((x) => createHash('sha256').update(x).digest()));

/** samlp asks its options for a mapper; ours sends the user's attributes under their own names, and `groups`. */
function mapper(user) {
  const multi = (v) => (Array.isArray(v) ? v : [v]);
  return {
    getClaims: () => ({ ...Object.fromEntries(Object.entries(user.attributes ?? {}).map(([k, v]) => [k, multi(v)])), groups: user.groups ?? [] }),
    getNameIdentifier: () => ({ nameIdentifier: user.name, nameIdentifierFormat: user.nameIdFormat }),
  };
}
mapper.prototype.metadata = [];

// What else start() can be asked for; the self test tries each.
export const variants = [{ sign: 'assertion' }, { sign: 'response' }, { encrypt: 'aes256-gcm' }, { encrypt: 'aes128-gcm', sign: 'assertion' }, { encrypt: 'aes256-cbc' }];

/**
 * `sign`: 'both' (the default), 'assertion' or 'response'; `encrypt`: a name of `ciphers`, or nothing. Both stand in the
 * returned `options` too and may be changed between logins, and so may `nameIdFormat`, `sessionSeconds`, how long the
 * answers say that a sign-in is good, and `sessionIndex`, what new sessions are called.
 */
export async function start({ scratch, sps, users, sign = 'both', encrypt }) {
  const folder = folderOf(scratch, 'samlp');
  let { key, cert } = keyPair(folder, 'samlp');
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const entityId = `${origin}/metadata`;
  const options = { sign, encrypt, nameIdFormat: persistent, sessionSeconds: undefined, sessionIndex: undefined };
  const sessions = new Map();
  const waiting = new Map();

  function answer(req, res, next) {
    const spOf = (id) => sps.find((s) => s.entityId === id);
    const { user, index } = req.session;
    if (options.sessionSeconds === undefined) sessionEnds.delete(index);
    else sessionEnds.set(index, new Date(Date.now() + options.sessionSeconds * 1000));
    const auth = {
      issuer: entityId, key, cert, profileMapper: mapper, sessionIndex: index,
      signAssertion: options.sign !== 'response', signResponse: options.sign !== 'assertion',
      signatureAlgorithm: 'rsa-sha256', digestAlgorithm: 'sha256', lifetimeInSeconds: 300, typedAttributes: true,
      getUserFromRequest: () => ({ ...user, nameIdFormat: options.nameIdFormat }),
      getPostURL: (audience, dom, _req, done) => {
        const sp = spOf(audience);
        if (!sp) return done(new Error(`no such service provider: ${audience}`));
        const asked = dom?.documentElement.getAttribute('AssertionConsumerServiceURL');
        if (asked && asked !== sp.acs) return done(new Error(`not an address of ${audience}: ${asked}`));
        return done(null, sp.acs);
      },
    };
    samlp.parseRequest(req, {}, (err, data) => {
      if (err) return next(err);
      const sp = spOf(data?.issuer ?? req.query.sp);
      if (!sp) return next(new Error(`no such service provider: ${data?.issuer}`));
      Object.assign(auth, { recipient: sp.acs, destination: sp.acs, audience: sp.entityId });
      // samlp refuses an unsigned message as soon as it has a certificate; a signed one is checked, an unsigned one taken.
      const signed = req.query.Signature || /<(\w+:)?Signature[\s>]/.test(Buffer.from(req.body.SAMLRequest ?? '', 'base64').toString());
      if (sp.cert && signed) auth.signingCert = sp.cert;
      if (options.encrypt && sp.cert) {
        Object.assign(auth, {
          encryptionCert: sp.cert, encryptionPublicKey: createPublicKey(sp.cert).export({ type: 'spki', format: 'pem' }),
          encryptionAlgorithm: ciphers[options.encrypt], disallowEncryptionWithInsecureAlgorithm: false, warnOnInsecureEncryptionAlgorithm: false,
        });
      }
      if (sp.slo) {
        const participant = { serviceProviderId: sp.entityId, nameId: user.name, nameIdFormat: persistent, sessionIndex: index, serviceProviderLogoutURL: sp.slo, cert: sp.cert };
        const known = req.session.participants;
        if (!known.get(sp.entityId, [index], user.name, (_, p) => p)) known._participants.push(participant);
      }
      return samlp.auth(auth)(req, res, next);
    });
  }

  function loginPage(res, id, note = '') {
    res.send(`<!doctype html><title>Sign in</title><p>${escape(note)}</p><form method="post" action="/login"><input type="hidden" name="request" value="${id}"><input name="username"><input type="password" name="password"><button>Sign in</button></form>`);
  }

  async function serve(req, raw) {
    const url = new URL(req.url, origin);
    // samlp expects the request and response objects of Express; this much of them.
    Object.assign(req, { query: Object.fromEntries(url.searchParams), body: {}, originalUrl: req.url, protocol: 'http' });
    const res = Object.assign(raw, {
      set: (k, v) => { raw.setHeader(k, v); return res; },
      send: (...a) => {
        const body = a.pop();
        if (typeof body === 'number') { raw.statusCode = body; raw.end(String(body)); return; }
        if (a.length) [raw.statusCode] = a;
        if (!raw.hasHeader('content-type')) raw.setHeader('content-type', 'text/html');
        raw.end(String(body));
      },
      redirect: (to) => { raw.statusCode = 302; raw.setHeader('location', to); raw.end(); },
    });
    const next = (err) => { raw.statusCode = 400; raw.end(`refused: ${err?.message ?? err}`); };
    if (req.method === 'POST') {
      let text = '';
      for await (const chunk of req) text += chunk;
      req.body = Object.fromEntries(new URLSearchParams(text));
    }
    const sid = req.headers.cookie?.match(/(?:^|; )samlp=([^;]+)/)?.[1];
    req.session = sessions.get(sid);

    if (url.pathname === '/metadata') {
      return samlp.metadata({ issuer: entityId, cert, profileMapper: mapper, redirectEndpointPath: '/sso', postEndpointPath: '/sso', logoutEndpointPaths: { redirect: '/logout', post: '/logout' } })(req, res);
    }
    if (url.pathname === '/sso') {
      if (req.session) return answer(req, res, next);
      const id = randomBytes(16).toString('hex');
      waiting.set(id, { query: req.query, body: req.body, method: req.method });
      return loginPage(res, id);
    }
    if (url.pathname === '/login') {
      const request = waiting.get(req.body.request);
      if (!request) return next(new Error('nobody waits for this login'));
      const user = users.find((u) => u.name === req.body.username);
      if (!user || !same(user.password, req.body.password)) { raw.statusCode = 401; return loginPage(res, req.body.request, 'Wrong name or password.'); }
      waiting.delete(req.body.request);
      const id = randomBytes(16).toString('hex');
      const session = { user, index: options.sessionIndex ?? `_${randomBytes(16).toString('hex')}`, participants: new SessionParticipants() };
      sessions.set(id, session);
      // A service provider's answer to a logout is posted here by a page of its own.
      raw.setHeader('set-cookie', `samlp=${id}; HttpOnly; Path=/; SameSite=None`);
      return answer(Object.assign(req, request, { session }), res, next);
    }
    if (url.pathname === '/logout') {
      if (!req.session) return next(new Error('no session to end'));
      return samlp.logout({
        issuer: entityId, key, cert, deflate: true, protocolBinding: req.query.binding === 'post' ? bindings.post : bindings.redirect,
        signatureAlgorithm: 'rsa-sha256', digestAlgorithm: 'sha256', sessionParticipants: req.session.participants,
        clearIdPSession: (done) => { sessions.delete(sid); done(); },
      })(req, res, next);
    }
    raw.statusCode = 404;
    return raw.end();
  }

  const server = createServer((req, res) => serve(req, res).catch((e) => { res.statusCode = 500; res.end(e.stack); }));
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const published = async () => (await fetch(entityId)).text();
  return {
    name: 'samlp', protocol: 'saml', variants, entityId, metadataUrl: entityId, metadataXml: await published(), options, origin, logoutAt: `${origin}/logout`,
    /** Signs with a new key from now on, or with `pair`: {old: the pair until now, metadataXml}. */
    rotate: async (pair = keyPair(folder, `samlp-${randomBytes(4).toString('hex')}`)) => {
      const old = { key, cert };
      ({ key, cert } = pair);
      return { old, metadataXml: await published() };
    },
    login: (target, user, browser) => signIn(origin, target, user, { name: 'username', password: 'password' }, browser),
    /** Logout begun by the service provider, with its message. */
    logout: (target, session) => signOut(session.browser, target),
    /** Logout begun here: the first message to a service provider of this session. */
    logoutHere: (session) => signOut(session.browser, `${origin}/logout`),
    /** A response that nobody asked for. */
    unsolicited: (sp, user) => signIn(origin, `${origin}/sso?${new URLSearchParams({ sp: sp.entityId, RelayState: 'unasked' })}`, user, { name: 'username', password: 'password' }),
    stop: async () => { server.closeAllConnections(); server.close(); await once(server, 'close'); },
  };
}
