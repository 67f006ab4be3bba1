// Owns the modules of the OpenID Foundation's conformance suite for relying parties: basic, configuration, and what the
// comprehensive and the FAPI 2 client plans have beyond them.
import { verify } from 'node:crypto';
import { accepted, claim, header, key, refused, suite } from './tools.mjs';
import { now } from '../forge.mjs';

const flipped = (token) => {
  const [h, p, s] = token.split('.');
  return `${h}.${p}.${Buffer.from(Buffer.from(s, 'base64url').map((b) => b ^ 0x5a)).toString('base64url')}`;
};
const noKid = header({ kid: undefined });
const bare = (k) => ({ ...k, jwk: { ...k.jwk, kid: undefined } });

export const basic = [
  accepted('response_type code', 'an honest answer', {}, { of: suite('o:') }),
  refused('iss of another', 'an `iss` that is not the issuer', 'id_token.iss', claim('iss', (c) => `${c.iss}1`), { of: suite('o:invalid-iss', 'f:invalid-iss') }),
  refused('no sub', 'no `sub`', 'id_token.sub', claim('sub'), { of: suite('o:missing-sub') }),
  refused('aud of another', 'an `aud` that is another client', 'id_token.aud', claim('aud', 'daypass1'), { of: suite('o:invalid-aud', 'f:invalid-aud') }),
  refused('no iat', 'no `iat`', 'id_token.iat_missing', claim('iat'), { of: suite('o:missing-iat') }),
  accepted('no kid, one key', 'a token without `kid`, one key published', noKid, { truth: noKid, keys: [bare(key('rsa'))], of: suite('o:kid-absent-single-jwks') }),
  refused('no kid, several keys', 'a token without `kid`, two keys published that fit', 'jws.key_ambiguous', { ...noKid, jwks: (keys) => [...keys, { ...key('rsa', 'b').jwk, kid: undefined }] },
    { truth: noKid, keys: [bare(key('rsa'))], fresh: true, of: suite('o:kid-absent-multiple-jwks') }),
  accepted('RS256', 'a token signed with RS256', {}, { of: suite('o:idtoken-sig-rs256') }),
  refused('alg none', 'an unsigned token (`alg: none`)', 'jws.alg_not_allowed', { header: () => ({ alg: 'none' }) }, { of: suite('o:idtoken-sig-none', 'f:invalid-null-alg') }),
  refused('RS256 signature spoilt', 'an RS256 signature with flipped bits', 'jws.signature', { token: flipped }, { of: suite('o:invalid-sig-rs256') }),
  refused('userinfo of another', 'userinfo with another `sub`', 'userinfo.sub', { userinfo: (u) => ({ ...u, sub: 'somebody-else' }) }, { idp: 'userinfo = true\n', of: suite('o:userinfo-invalid-sub') }),
  refused('nonce of another', 'a `nonce` that was not sent', 'id_token.nonce', claim('nonce', (c) => `${c.nonce}1`), { of: suite('o:nonce-invalid', 'f:invalid-nonce') }),
  accepted('claims from userinfo', 'groups and department by userinfo only', { claims: ({ groups: _, department: __, ...c }) => c }, {
    idp: 'userinfo = true\n', of: suite('o:scope-userinfo-claims', 'o:userinfo-bearer-header'),
    verify: ({ session }) => (session.groups.join() === 'data' && session.attributes.department === 'data' ? null : `the session is ${JSON.stringify(session)}`),
  }),
  accepted('client_secret_basic', 'a token endpoint that takes HTTP Basic alone', {}, { of: suite('o:client-secret-basic') }),
];

const jwksElsewhere = { discovery: (d) => ({ ...d, jwks_uri: `${d.jwks_uri}?at=elsewhere` }) };
export const configuration = [
  accepted('configuration', 'endpoints named by discovery alone', { discovery: (d) => ({ ...d, authorization_endpoint: `${d.authorization_endpoint}?old=1` }) }, { fresh: true, of: suite('o:discovery-openid-config') }),
  accepted('jwks_uri', 'keys at the `jwks_uri` of discovery', jwksElsewhere, { fresh: true, of: suite('o:discovery-jwks-uri-keys') }),
  refused('discovery of another issuer', 'a discovery document whose `issuer` is another', 'discovery.issuer', { discovery: (d) => ({ ...d, issuer: `${d.issuer}1` }) }, { fresh: true, of: suite('o:discovery-issuer-mismatch', 'f:discovery-issuer-mismatch') }),
];

/** A client assertion: RFC 7523, with the issuer as its only audience, as FAPI 2 wants it. */
function asserted(req, form, issuer) {
  const [h, p, s] = (form.get('client_assertion') ?? '').split('.');
  if (!s || req.headers.authorization || form.has('client_secret')) return false;
  const [head, body] = [h, p].map((x) => JSON.parse(Buffer.from(x, 'base64url')));
  const good = head.alg === 'ES256' && body.iss === 'daypass' && body.sub === 'daypass' && body.aud === issuer.url && body.jti && body.exp > now() && body.exp <= now() + 65;
  return good && verify('sha256', Buffer.from(`${h}.${p}`), { key: key('p256', 'client').publicKey, dsaEncoding: 'ieee-p1363' }, Buffer.from(s, 'base64url'));
}

export const comprehensive = [
  refused('no aud', 'no `aud`', 'id_token.aud', claim('aud'), { of: suite('o:missing-aud', 'f:invalid-missing-aud') }),
  refused('at_hash of another token', 'an `at_hash` of another access token', 'id_token.at_hash', claim('at_hash', 'AAAAAAAAAAAAAAAAAAAAAA'), { of: suite('o:invalid-athash') }),
  accepted('no at_hash', 'no `at_hash`, which the code flow lets a provider leave out', claim('at_hash'), { of: suite('o:missing-athash') }),
  refused('HS256 signature spoilt', 'an HS256 signature with the client secret, spoilt', 'jws.alg_not_allowed', { ...header({ alg: 'HS256' }), secret: 'client-secret-of-a-hostile-provider-0123', token: flipped }, { of: suite('o:invalid-sig-hs256') }),
  refused('ES256 signature spoilt', 'an ES256 signature with flipped bits', 'jws.signature', { token: flipped }, { keys: [key('p256')], of: suite('o:invalid-sig-es256') }),
  accepted('aggregated claims', 'aggregated claims in userinfo, for an attribute that nothing is made of', { userinfo: (u) => ({ ...u, _claim_names: { address: 'src1' }, _claim_sources: { src1: { JWT: 'e30.e30.' } } }) }, { idp: 'userinfo = true\n', of: suite('o:aggregated-claims') }),
  refused('distributed groups', 'the groups as a distributed claim, which nobody fetches', 'mapping.overage', {
    claims: ({ groups: _, ...c }, issuer) => ({ ...c, _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: `${issuer.op.origin}/led-astray`, access_token: 'x' } } }),
  }, { of: suite('o:distributed-claims'), verify: (_, { op }) => (op.strangers.length ? `the server asked for ${op.strangers}` : null) }),
  accepted('keys that nobody can read', 'beside its key one of a kind yet unknown and one with a `kty` made up', { jwks: (keys) => [{ kty: 'AKP', alg: 'ML-DSA-99', kid: 'pq', pub: 'AAAA' }, { kty: 'made-up', kid: 'odd' }, ...keys] }, { fresh: true, of: suite('o:ignores-unparseable-key-in-jwks') }),
];

const paired = (more, azp) => ({ claims: (c) => ({ ...c, aud: more, ...(azp && { azp }) }) });
export const fapi = [
  refused('aud of another beside ours', 'a second `aud` that is not trusted', 'id_token.azp', paired(['daypass', 'daypass1']), { of: suite('f:invalid-secondary-aud') }),
  refused('another algorithm', 'RS256 by a key of the issuer, where ES256 is registered', 'id_token.alg', { key: key('rsa') }, { keys: [key('p256'), key('rsa')], idp: 'id_token_signed_response_alg = "ES256"\n', of: suite('f:invalid-alternate-alg') }),
  refused('expired', 'an `exp` five minutes ago', 'id_token.exp', claim('exp', () => now() - 300), { of: suite('f:invalid-expired-exp') }),
  refused('no exp', 'no `exp`', 'id_token.exp_missing', claim('exp'), { of: suite('f:invalid-missing-exp') }),
  refused('no iss', 'no `iss`', 'id_token.iss', claim('iss'), { of: suite('f:invalid-missing-iss') }),
  accepted('aud as a list', '`aud` as a list of one', paired(['daypass']), { of: suite('f:valid-aud-as-array') }),
  refused('no nonce', 'no `nonce`', 'id_token.nonce_missing', claim('nonce'), { of: suite('f:invalid-missing-nonce') }),
  refused('iss parameter of another', 'another `iss` beside the code (RFC 9207)', 'oidc.iss', { back: ([code, state, [, iss]]) => [code, state, ['iss', `${iss}1`]] }, { of: suite('f:invalid-authorization-response-iss') }),
  refused('no iss parameter', 'no `iss` beside the code, though metadata promises it', 'oidc.iss_missing', { back: ([code, state]) => [code, state] }, { of: suite('f:remove-authorization-response-iss') }),
  refused('state of another', 'a `state` that was not sent', 'login.state', { back: ([code, [, state], iss]) => [code, ['state', `${state}1`], iss] }, { of: suite('f:ensure-authorization-response-with-invalid-state-fails') }),
  refused('no state', 'no `state`', 'login.state', { back: ([code, , iss]) => [code, iss] }, { of: suite('f:ensure-authorization-response-with-invalid-missing-state-fails') }),
  accepted('no expires_in', 'a token reply without `expires_in`', { tokens: ({ expires_in: _, ...t }) => t }, { of: suite('f:token-endpoint-response-without-expires_in') }),
  accepted('token_type in other letters', 'a `token_type` of "bEARER"', { tokens: (t) => ({ ...t, token_type: 'bEARER' }) }, { of: suite('f:token-type-case-insensitivity') }),
  accepted('private_key_jwt', 'a token endpoint that takes a client assertion alone, its audience the issuer', {}, { idp: 'client_auth = "private_key_jwt"\n', clientKey: key('p256', 'client'), clientAuth: asserted }),
  refused('answer as a JWT', 'the whole answer in one `response` (JARM), which was not asked for', 'login.state', { back: () => [['response', 'e30.e30.e30']] }),
  refused('DPoP token', 'a `token_type` of DPoP, which was not asked for', 'token_endpoint.token_type', { tokens: (t) => ({ ...t, token_type: 'DPoP' }) }),
];
