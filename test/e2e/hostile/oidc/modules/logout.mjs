// Owns back-channel logout: logout tokens that are right, and those that must be refused with 400 and end nothing.
import { accepted, key, refused, suite as named } from './tools.mjs';
import { b64, jws, now, random } from '../forge.mjs';

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';
const suite = (...names) => named(...names.map((n) => `o:rp-backchannel-rpinitlogout${n}`));

/** A logout token for a session: `change` gives other claims, `header` other members of the header. */
export function logoutToken(issuer, { sub, sid }, { claims = (c) => c, header = {}, k = issuer.keys[0], by } = {}) {
  const second = now();
  const all = claims({ iss: issuer.url, aud: 'daypass', iat: second, exp: second + 120, jti: random(12), sub, sid, events: { [EVENT]: {} } });
  const head = { alg: 'RS256', kid: k.kid, typ: 'logout+jwt', ...header };
  return jws(head, all, k, by ?? head.alg);
}

/** Signs somebody in, whom nobody else is; {person, token}. */
async function signedIn(world, place) {
  const person = { sub: `p${random(8)}`, sid: random(8) };
  place.issuer.person = { ...place.issuer.person, ...person };
  const { token, accepted: good, check } = await world.signIn(place);
  if (!good) throw new Error(`no sign-in to end: ${check}`);
  return { person, token };
}
/** Posts `fields`; an outcome as of a sign-in. A refusal must end nothing, an acceptance must end the session. */
async function told(world, place, fields, token, { over } = {}) {
  const { status, headers, text } = await world.ask(world.at(place, `/idp/${place.idp}/logout`), { form: fields });
  const alive = (await world.ask(world.at(place, '/api/v1/session'), { token })).status === 200;
  if (headers.get('cache-control') !== 'no-store') return { broken: `cache-control is ${headers.get('cache-control')}` };
  if (status === 200) {
    if (alive !== Boolean(over)) return { broken: alive ? 'the session goes on' : 'the session is over' };
    place.ended = (place.ended ?? 0) + (alive ? 0 : 1);
    return { accepted: true };
  }
  if (!alive) return { broken: `${status}, and the session is over` };
  const said = JSON.parse(text);
  if (status !== 400 || !['invalid_request', 'invalid_grant'].includes(said.error)) return { broken: `${status} ${text}` };
  return { accepted: false, status, check: said.check, message: said.error_description, hint: said.hint, request: said.request_id, page: text };
}
const posting = (what) => async (world, place, lied) => {
  const { person, token } = await signedIn(world, place);
  const honest = () => logoutToken(place.issuer, person);
  return told(world, place, lied ? what(place.issuer, person, honest) : { logout_token: honest() }, token);
};
const wrong = (name, sends, check, what, more = {}) => refused(name, sends, check, {}, { drive: posting(what), ...more });
const saying = (name, sends, check, change, more) => wrong(name, sends, check, (issuer, person) => ({ logout_token: logoutToken(issuer, person, change) }), more);
const claims = (change) => ({ claims: (c) => ({ ...c, ...(typeof change === 'function' ? change(c) : change) }) });

export const logout = [
  accepted('a right one', 'a right logout token', {}, { drive: posting((issuer, person) => ({ logout_token: logoutToken(issuer, person) })), of: suite('') }),
  saying('alg none', 'an unsigned logout token', 'jws.alg_not_allowed', { header: { alg: 'none' } }, { of: suite('-alg-none') }),
  saying('no event', 'no `events`', 'logout_token.events', claims({ events: undefined }), { of: suite('-no-event') }),
  saying('a nonce', 'a `nonce`', 'logout_token.nonce', claims({ nonce: 'n' }), { of: suite('-with-nonce') }),
  saying('another algorithm', 'ES256 by a key of the issuer, where RS256 is registered', 'logout_token.alg', { header: { alg: 'ES256' }, k: key('p256') }, { keys: [key('rsa'), key('p256')], idp: 'id_token_signed_response_alg = "RS256"\n', of: suite('-wrong-alg') }),
  saying('aud of another', 'an `aud` that is another client', 'logout_token.aud', claims({ aud: 'daypass1' }), { of: suite('-wrong-aud') }),
  saying('another event', 'another event', 'logout_token.events', claims({ events: { 'http://schemas.openid.net/event/foobar': {} } }), { of: suite('-wrong-event') }),
  saying('iss of another', 'an `iss` that is not the issuer', 'logout_token.iss', claims((c) => ({ iss: `${c.iss}1` })), { of: suite('-wrong-iss') }),
  saying('HS256 with the public key', 'HS256, its secret the public key', 'jws.alg_not_allowed', { header: { alg: 'HS256', kid: 'rsa-a' }, k: { secret: key('rsa').publicKey.export({ type: 'spki', format: 'pem' }) } }),
  saying('a stranger\'s key', 'the right `kid`, and a signature by a stranger', 'jws.signature', { k: { ...key('rsa', 'attacker'), kid: 'rsa-a' } }),
  saying('jwk in the header', 'a key of its own', 'jws.header_key', { header: { jwk: key('rsa', 'attacker').jwk }, k: { ...key('rsa', 'attacker'), kid: 'rsa-a' } }),
  saying('typ of an access token', 'a `typ` of "at+jwt"', 'logout_token.typ', { header: { typ: 'at+jwt' } }),
  saying('expired', 'an `exp` five minutes ago', 'logout_token.exp', claims({ iat: now() - 400, exp: now() - 300 })),
  saying('of the future', 'an `iat` ten minutes ahead', 'logout_token.iat', claims({ iat: now() + 600, exp: now() + 700 })),
  saying('no jti', 'no `jti`', 'logout_token.jti', claims({ jti: undefined })),
  saying('nobody', 'neither `sub` nor `sid`', 'logout_token.subject', claims({ sub: undefined, sid: undefined })),
  saying('events a list', '`events` as a list', 'logout_token.events', claims({ events: [EVENT] })),
  saying('sub a list', '`sub` as a list', 'logout_token.sub', claims((c) => ({ sub: [c.sub] }))),
  wrong('an ID token', 'the ID token of the sign-in', 'logout_token.nonce', (issuer) => ({ logout_token: issuer.idToken('n', 'at') })),
  wrong('twice in one request', 'two logout tokens', 'http.form_duplicate', (issuer, person, honest) => [['logout_token', honest()], ['logout_token', honest()]]),
  wrong('under another name', 'the token as `token`', 'logout_token.missing', (issuer, person, honest) => ({ token: honest() })),
  wrong('a sign-out comes back without state', 'a visit of the logout URL that says nothing', 'logout_token.missing', () => null, { of: named('o:rp-init-logout-no-state') }),
  wrong('a token of 100 KiB', 'a logout token longer than 64 KiB', 'jws.too_large', (issuer) => ({ logout_token: `${b64('{"alg":"RS256"}')}.${'A'.repeat(100_000)}.AAAA` })),
  refused('again', 'a logout token that was told before', 'signal.replayed', {}, { drive: async (world, place, lied) => {
    const { person, token } = await signedIn(world, place);
    const logout = logoutToken(place.issuer, person);
    const first = await told(world, place, { logout_token: logout }, token);
    if (!lied || !first.accepted) return first;
    const later = await signedIn(world, place);
    return told(world, place, { logout_token: logout }, later.token);
  } }),
];
