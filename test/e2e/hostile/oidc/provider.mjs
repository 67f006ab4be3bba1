// A provider that is hostile on demand: many issuers at one address, each with its own keys and its own lies. Without a lie it
// keeps to the standards, and checks what a provider must check: redirect URI, client, code, PKCE, bearer token.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import { halfHash, jws, key, now, random } from './forge.mjs';

/**
 * What an issuer can be told to do otherwise. Each gets what would have been sent and the issuer, and changes it or gives
 * something in its place:
 *   discovery(document), jwks(keys), claims(claims), header(header), tokens(reply), userinfo(claims), back(parameters)
 *   token(compact)            the ID token as it goes out
 *   at: {path: (req, res)}    answers a request ("discovery", "jwks", "token", "userinfo") in its place
 *   key, by                   what signs ID tokens, and how
 *   anyCode                   the token endpoint takes every code, for the login that was begun last
 */
export class Issuer {
  constructor(op, name) {
    this.op = op;
    this.name = name;
    this.url = `${op.origin}/${name}`;
    this.lies = {};
    this.keys = [key('rsa')];
    this.clientAuth = 'basic';
    this.person = { sub: `person-of-${name}`, name: 'Dana', groups: ['data'], department: 'data' };
    this.codes = new Map();
    this.asked = { discovery: 0, jwks: 0, token: 0, userinfo: 0 };
  }
  lie(what, truth, ...more) { return this.lies[what]?.(truth, this, ...more) ?? truth; }

  document() {
    return this.lie('discovery', {
      issuer: this.url, authorization_endpoint: `${this.url}/authorize`, token_endpoint: `${this.url}/token`, jwks_uri: `${this.url}/jwks`, userinfo_endpoint: `${this.url}/userinfo`,
      response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA'], code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'], authorization_response_iss_parameter_supported: true,
    });
  }
  published() { return this.lie('jwks', this.keys.map((k) => k.jwk)); }

  /** What the browser brings back from the authorization endpoint: names and values, as they would stand in the query. */
  authorize(url) {
    const query = new URL(url).searchParams;
    const wanted = { response_type: 'code', client_id: 'daypass', code_challenge_method: 'S256' };
    for (const [name, value] of Object.entries(wanted)) if (query.get(name) !== value) throw new Error(`${name} is ${query.get(name)} in the authorization request`);
    for (const name of ['state', 'nonce', 'code_challenge']) if ((query.get(name) ?? '').length < 43) throw new Error(`${name} is too short in the authorization request`);
    if (!query.get('scope').split(' ').includes('openid')) throw new Error('the authorization request has no scope openid');
    const code = random(24);
    this.last = { nonce: query.get('nonce'), challenge: query.get('code_challenge'), redirect: query.get('redirect_uri') };
    this.codes.set(code, this.last);
    return { redirect: this.last.redirect, back: this.lie('back', [['code', code], ['state', query.get('state')], ['iss', this.url]]) };
  }

  claims(nonce) {
    const second = now();
    return { iss: this.url, aud: 'daypass', iat: second, exp: second + 300, nonce, ...this.person };
  }
  /** An ID token of a login, with the lies of now. */
  idToken(nonce, accessToken) {
    const k = this.lies.key ?? this.keys[0];
    const alg = this.lies.alg ?? { RSA: 'RS256', 'P-256': 'ES256', 'P-384': 'ES384', Ed25519: 'EdDSA' }[k.jwk.crv ?? 'RSA'];
    const header = this.lie('header', { alg, kid: k.kid, typ: 'JWT' });
    let claims = this.claims(nonce);
    if (accessToken) claims.at_hash = halfHash(alg, accessToken);
    claims = this.lie('claims', claims, accessToken);
    return this.lie('token', jws(header, claims, { ...k, secret: this.lies.secret }, this.lies.by ?? header.alg), header, claims);
  }

  async serve(path, req, res, body) {
    const json = (value, status = 200) => {
      res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      res.end(typeof value === 'string' ? value : JSON.stringify(value));
    };
    if (path in this.asked) this.asked[path] += 1;
    if (this.lies.at?.[path]) return this.lies.at[path](req, res, this, body);
    if (path === 'discovery') return json(this.document());
    if (path === 'jwks') {
      const keys = this.published();
      return json(Array.isArray(keys) ? { keys } : keys);
    }
    if (path === 'token') {
      const form = new URLSearchParams(body);
      if (!this.knowsClient(req, form)) return json({ error: 'invalid_client' }, 401);
      const login = this.codes.get(form.get('code'));
      this.codes.delete(form.get('code'));
      const proven = this.lies.anyCode || login && createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url') === login.challenge;
      if (!proven || form.get('grant_type') !== 'authorization_code' || form.get('redirect_uri') !== login.redirect) return json({ error: 'invalid_grant', error_description: 'no such code' }, 400);
      this.accessToken = random(24);
      return json(this.lie('tokens', { access_token: this.accessToken, token_type: 'Bearer', expires_in: 300, id_token: this.idToken(login.nonce, this.accessToken) }));
    }
    if (path === 'userinfo') {
      if (req.headers.authorization !== `Bearer ${this.accessToken}`) return json({ error: 'invalid_token' }, 401);
      return json(this.lie('userinfo', { ...this.person, ...this.more }));
    }
    res.writeHead(404);
    return res.end();
  }
  knowsClient(req, form) {
    if (this.clientAuth === 'basic') return !form.has('client_secret') && req.headers.authorization === `Basic ${Buffer.from(`daypass:${this.op.secret}`).toString('base64')}`;
    if (this.clientAuth === 'post') return !req.headers.authorization && form.get('client_id') === 'daypass' && form.get('client_secret') === this.op.secret;
    return this.clientAuth(req, form, this);
  }
}

export class HostileOp {
  /** `tls`: {key, cert} in PEM; `host`: the name in its URLs. */
  static async start({ tls, host = '127.0.0.1', listen = '127.0.0.1', port = 0 } = {}) {
    const self = new HostileOp();
    self.secret = 'client-secret-of-a-hostile-provider-0123';
    self.issuers = new Map();
    self.strangers = [];  // requests for what no issuer has: whoever comes here was led
    const serve = (req, res) => self.serve(req, res).catch((e) => { res.statusCode = 500; res.end(String(e)); });
    self.server = tls ? createTlsServer(tls, serve) : createServer(serve);
    self.server.listen(port, listen);
    await once(self.server, 'listening');
    self.origin = `${tls ? 'https' : 'http'}://${host}${port === 443 ? '' : `:${self.server.address().port}`}`;
    return self;
  }
  issuer(name) {
    if (!this.issuers.has(name)) this.issuers.set(name, new Issuer(this, name));
    return this.issuers.get(name);
  }
  async serve(req, res) {
    const [, name, ...rest] = new URL(req.url, this.origin).pathname.split('/');
    const path = rest.join('/') === '.well-known/openid-configuration' ? 'discovery' : rest.join('/');
    const issuer = this.issuers.get(name);
    if (!issuer) {
      this.strangers.push(req.url);
      res.writeHead(404);
      return res.end();
    }
    let body = '';
    for await (const chunk of req) body += chunk;
    return issuer.serve(path, req, res, body);
  }
  async stop() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
