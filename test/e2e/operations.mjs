// How each operation below /t/{tenant}/ of the OpenAPI document is called, and with which identifiers. `v` holds one of each kind: what an entry
// reads of it is what an attacker can put there. tenants.test.mjs fails for an operation that is not here.
import { redirect } from './two_tenants.mjs';

const form = (fields) => ({ form: fields });
const folder = (v) => ({
  files: {
    ...v.files,
    'policies/evil.cedar': `@id("evil") permit(principal in Group::"${v.idp}/data", action == Action::"assume", resource == Role::"${v.role}") when { principal.groups.contains("${v.group}") };\n`,
  },
});
// Names each kind itself: a spread would read them all.
const withRole = (v) => ({ idp: v.idp, role: v.role, group: v.group, files: { ...v.files, 'tenant.toml': `${v.files['tenant.toml']}\n[[role]]\nname = "pg/orders/evil"\ngroup = "${v.pgGroup}"\n` } });
const kindAndName = (target) => (target.startsWith('pg/') ? target.split('/') : ['pg', target]).map(encodeURIComponent).join('/');
const p = encodeURIComponent;

// SCIM has a token of its own kind. What deletes comes last, so that the others find something. One of each sort is tried with everything.
const scim = (v, at, rest = {}) => ({ at: `/idp/${p(v.idp)}/scim/v2${at}`, token: v.scimToken, ...rest });
const alike = { slow: true };
const scimOps = (op) => ({ json: { schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations: [op] } });
// Everybody sends the same, so that nothing but the first one is new.
const scimUser = { json: { schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName: 'evil', externalId: 'evil' } };
const scimGroup = { json: { schemas: ['urn:ietf:params:scim:schemas:core:2.0:Group'], displayName: 'evil' } };

/** "METHOD path" to one call or several: {at: path below the tenant, query, form, json, raw, cookie, confirm, token: another than the caller's}. */
export const operations = {
  'GET /t/{tenant}/api/v1/audit': (v) => ({ at: '/api/v1/audit', query: { from: v.cursor, limit: '5' } }),
  'GET /t/{tenant}/api/v1/audit/checkpoint': () => ({ at: '/api/v1/audit/checkpoint' }),
  'POST /t/{tenant}/api/v1/audit/checkpoint': () => ({ at: '/api/v1/audit/checkpoint' }),
  // A place in one's own log is nobody's identifier: whether it is there depends on how long the log has grown.
  'GET /t/{tenant}/api/v1/audit/records/{index}/proof': () => ({ at: '/api/v1/audit/records/999999999999/proof' }),
  'GET /t/{tenant}/api/v1/audit/consistency': () => ({ at: '/api/v1/audit/consistency', query: { from: '999999999999' } }),
  // How far a receiver is grows with each call.
  'GET /t/{tenant}/api/v1/audit/forwards': () => ({ at: '/api/v1/audit/forwards' }),
  'POST /t/{tenant}/api/v1/audit/forwards/{name}/retry': (v) => ({ at: `/api/v1/audit/forwards/${p(v.forward)}/retry` }),
  'GET /t/{tenant}/api/v1/grants/{id}/receipt': (v) => ({ at: `/api/v1/grants/${p(v.grant)}/receipt` }),
  'GET /t/{tenant}/oauth/authorize': [
    (v) => ({ at: '/oauth/authorize', query: { response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: v.state, idp: v.idp }, cookie: v.cookie }),
    (v) => ({ at: '/oauth/authorize', query: { response_type: 'code', client_id: 'daypass-cli', redirect_uri: redirect, code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: v.state, hint: v.email }, cookie: v.cookie }),
  ],
  'GET /t/{tenant}/idp/{idp}/callback': (v) => ({ at: `/idp/${p(v.idp)}/callback`, query: { code: v.code, state: v.state, iss: v.issuer }, cookie: v.cookie }),
  'POST /t/{tenant}/idp/{idp}/callback': (v) => ({ at: `/idp/${p(v.idp)}/callback`, ...form({ SAMLResponse: 'PFJlc3BvbnNlLz4=', RelayState: v.state, state: v.state, code: v.code }), cookie: v.cookie }),
  'GET /t/{tenant}/idp/{idp}/logout': [
    (v) => ({ at: `/idp/${p(v.idp)}/logout`, query: { SAMLRequest: 'PFJlcXVlc3QvPg==', RelayState: v.state, SigAlg: 'x', Signature: 'AAAA' } }),
    (v) => ({ at: `/idp/${p(v.idp)}/logout`, query: { state: v.logoutState } }),
  ],
  'POST /t/{tenant}/idp/{idp}/logout': [
    (v) => ({ at: `/idp/${p(v.idp)}/logout`, ...form({ logout_token: v.token ?? 'x' }) }),
    (v) => ({ at: `/idp/${p(v.idp)}/logout`, ...form({ SAMLResponse: 'PFJlcXVlc3QvPg==', RelayState: v.logoutState }) }),
  ],
  'GET /t/{tenant}/logout': (v) => ({ at: '/logout', query: { handle: v.handle } }),
  'POST /t/{tenant}/idp/{idp}/confirm': (v) => ({ at: `/idp/${p(v.idp)}/confirm`, ...form({ user_code: v.userCode }), confirm: v.handle }),
  'POST /t/{tenant}/idp/{idp}/events': (v) => ({ at: `/idp/${p(v.idp)}/events`, raw: { type: 'application/secevent+jwt', body: `eyJhbGciOiJFUzI1NiIsInR5cCI6InNlY2V2ZW50K2p3dCJ9.${Buffer.from(JSON.stringify({ iss: v.issuer, sub_id: v.principal })).toString('base64url')}.AAAA` } }),
  'GET /t/{tenant}/idp/{idp}/metadata': (v) => ({ at: `/idp/${p(v.idp)}/metadata` }),
  'POST /t/{tenant}/oauth/token': [
    (v) => ({ at: '/oauth/token', ...form({ grant_type: 'authorization_code', client_id: 'daypass-cli', code: v.code, code_verifier: v.verifier, redirect_uri: redirect }) }),
    (v) => ({ at: '/oauth/token', ...form({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'daypass-cli', device_code: v.deviceCode }) }),
  ],
  'POST /t/{tenant}/oauth/device_authorization': () => ({ at: '/oauth/device_authorization', ...form({ client_id: 'daypass-cli' }) }),
  'GET /t/{tenant}/device': (v) => ({ at: '/device', query: { user_code: v.userCode } }),
  'POST /t/{tenant}/device': (v) => ({ at: '/device', ...form({ user_code: v.userCode, idp: v.idp }), cookie: v.cookie }),
  'GET /.well-known/oauth-authorization-server/t/{tenant}': () => ({ wellKnown: true }),
  'GET /t/{tenant}/api/v1/session': () => ({ at: '/api/v1/session' }),
  'DELETE /t/{tenant}/api/v1/session': () => ({ at: '/api/v1/session' }),
  'GET /t/{tenant}/api/v1/roles': () => ({ at: '/api/v1/roles' }),
  'GET /t/{tenant}/api/v1/explain': (v) => ({ at: '/api/v1/explain', query: { role: v.role, principal: v.principal } }),
  'POST /t/{tenant}/api/v1/credentials': (v) => ({ at: '/api/v1/credentials', json: { target: v.target, roles: [v.role] } }),
  'GET /t/{tenant}/api/v1/grants': [() => ({ at: '/api/v1/grants' }), () => ({ at: '/api/v1/grants', query: { all: 'true', closed: 'true' } })],
  'GET /t/{tenant}/api/v1/grants/{id}': (v) => ({ at: `/api/v1/grants/${p(v.grant)}` }),
  'POST /t/{tenant}/api/v1/grants/{id}/extend': (v) => ({ at: `/api/v1/grants/${p(v.grant)}/extend`, json: { for: '45m' } }),
  'POST /t/{tenant}/api/v1/grants/{id}/end': (v) => ({ at: `/api/v1/grants/${p(v.grant)}/end` }),
  'GET /t/{tenant}/api/v1/sessions': () => ({ at: '/api/v1/sessions' }),
  'POST /t/{tenant}/api/v1/sessions/{id}/end': (v) => ({ at: `/api/v1/sessions/${p(v.session)}/end` }),
  'POST /t/{tenant}/api/v1/sessions/{id}/revalidate': (v) => ({ at: `/api/v1/sessions/${p(v.session)}/revalidate` }),
  'POST /t/{tenant}/api/v1/apply': (v) => ({ at: '/api/v1/apply', json: { ...folder(withRole(v)), dry_run: true }, slow: true }),
  'POST /t/{tenant}/api/v1/policy/simulate': (v) => ({ at: '/api/v1/policy/simulate', json: folder(v), slow: true }),
  'GET /t/{tenant}/api/v1/policy/schema': () => ({ at: '/api/v1/policy/schema' }),
  'GET /t/{tenant}/api/v1/targets': () => ({ at: '/api/v1/targets' }),
  'POST /t/{tenant}/api/v1/targets/{kind}/{name}/check': (v) => ({ at: `/api/v1/targets/${kindAndName(v.target)}/check` }),
  'POST /t/{tenant}/api/v1/persons/erase': (v) => ({ at: '/api/v1/persons/erase', json: { person: v.principal } }),
  'GET /t/{tenant}/api/v1/reports/unused': () => ({ at: '/api/v1/reports/unused', query: { days: '30' } }),
  'GET /t/{tenant}/api/v1/freeze': () => ({ at: '/api/v1/freeze' }),
  // Without a reason it is refused, and does not end what the other entries need.
  'PUT /t/{tenant}/api/v1/freeze': () => ({ at: '/api/v1/freeze', json: { reason: '' } }),
  'DELETE /t/{tenant}/api/v1/freeze': () => ({ at: '/api/v1/freeze' }),
  'GET /t/{tenant}/api/v1/secrets': () => ({ at: '/api/v1/secrets' }),
  'PUT /t/{tenant}/api/v1/secrets/{name}': (v) => ({ at: `/api/v1/secrets/${p(v.secret)}`, json: { value: '' } }),
  'POST /t/{tenant}/api/v1/secrets/{name}/key': (v) => ({ at: `/api/v1/secrets/${p(v.secret)}/key`, json: { kind: 'none' } }),
  'DELETE /t/{tenant}/api/v1/secrets/{name}': (v) => ({ at: `/api/v1/secrets/${p(v.secret)}` }),
  'GET /t/{tenant}/api/v1/idps': () => ({ at: '/api/v1/idps' }),
  'GET /t/{tenant}/api/v1/domains': () => ({ at: '/api/v1/domains' }),
  'POST /t/{tenant}/api/v1/domains/check': () => ({ at: '/api/v1/domains/check' }),
  'POST /t/{tenant}/api/v1/idps/{name}/probe': (v) => ({ at: `/api/v1/idps/${p(v.idp)}/probe` }),
  'GET /t/{tenant}/idp/{idp}/scim/v2/ServiceProviderConfig': (v) => scim(v, '/ServiceProviderConfig', alike),
  'GET /t/{tenant}/idp/{idp}/scim/v2/ResourceTypes': (v) => scim(v, '/ResourceTypes', alike),
  'GET /t/{tenant}/idp/{idp}/scim/v2/ResourceTypes/{id}': (v) => scim(v, '/ResourceTypes/User', alike),
  'GET /t/{tenant}/idp/{idp}/scim/v2/Schemas': (v) => scim(v, '/Schemas', alike),
  'GET /t/{tenant}/idp/{idp}/scim/v2/Schemas/{id}': (v) => scim(v, `/Schemas/${scimUser.json.schemas[0]}`, alike),
  'GET /t/{tenant}/idp/{idp}/scim/v2/Users': [
    (v) => scim(v, '/Users', { query: { filter: `userName eq "${v.scimName}"` } }),
    (v) => scim(v, '/Users', { query: { filter: `externalId eq "${v.scimSubject}" and id eq "${v.scimUser}"`, startIndex: '1', count: '5' } }),
  ],
  'GET /t/{tenant}/idp/{idp}/scim/v2/Users/{id}': (v) => scim(v, `/Users/${p(v.scimUser)}`),
  'POST /t/{tenant}/idp/{idp}/scim/v2/Users': (v) => scim(v, '/Users', { ...scimUser, ...alike }),
  'PUT /t/{tenant}/idp/{idp}/scim/v2/Users/{id}': (v) => scim(v, `/Users/${p(v.scimUser)}`, { json: { userName: 'put', externalId: 'put' } }),
  'PATCH /t/{tenant}/idp/{idp}/scim/v2/Users/{id}': (v) => scim(v, `/Users/${p(v.scimUser)}`, { ...scimOps({ op: 'replace', path: 'active', value: false }), ...alike }),
  'GET /t/{tenant}/idp/{idp}/scim/v2/Groups': (v) => scim(v, '/Groups', { query: { filter: `displayName eq "${v.scimGroupName}" and members eq "${v.scimUser}"`, excludedAttributes: 'meta' } }),
  'GET /t/{tenant}/idp/{idp}/scim/v2/Groups/{id}': (v) => scim(v, `/Groups/${p(v.scimGroup)}`, alike),
  'POST /t/{tenant}/idp/{idp}/scim/v2/Groups': (v) => scim(v, '/Groups', { ...scimGroup, ...alike }),
  'PUT /t/{tenant}/idp/{idp}/scim/v2/Groups/{id}': (v) => scim(v, `/Groups/${p(v.scimGroup)}`, { json: { displayName: 'put', members: [{ value: v.scimUser }] }, ...alike }),
  'PATCH /t/{tenant}/idp/{idp}/scim/v2/Groups/{id}': (v) => scim(v, `/Groups/${p(v.scimGroup)}`, scimOps({ op: 'add', path: 'members', value: [{ value: v.scimUser }] })),
  'DELETE /t/{tenant}/idp/{idp}/scim/v2/Groups/{id}': (v) => scim(v, `/Groups/${p(v.scimGroup)}`, alike),
  'DELETE /t/{tenant}/idp/{idp}/scim/v2/Users/{id}': (v) => scim(v, `/Users/${p(v.scimUser)}`, alike),
  'POST /t/{tenant}/api/v1/idps/{name}/test': [
    (v) => ({ at: `/api/v1/idps/${p(v.idp)}/test`, json: {} }),
    (v) => ({ at: `/api/v1/idps/${p(v.idp)}/test`, json: folder(v), slow: true }),
  ],
  'GET /t/{tenant}/api/v1/idps/{name}/test/{id}': (v) => ({ at: `/api/v1/idps/${p(v.idp)}/test/${p(v.test)}` }),
  'GET /t/{tenant}/idp/{idp}/test': [(v) => ({ at: `/idp/${p(v.idp)}/test`, query: { key: v.testKey } }), (v) => ({ at: `/idp/${p(v.idp)}/test`, query: { key: v.testKey, go: '1' }, cookie: v.cookie })],
};

/** [{name, method, build, slots, slow}]: `slots` are the kinds of identifiers that the call holds. */
export function calls(sample) {
  return Object.entries(operations).flatMap(([name, entry]) => [entry].flat().map((build) => {
    const slots = new Set();
    const made = build(new Proxy(sample, { get: (from, kind) => { if (kind !== 'files') slots.add(kind); return from[kind]; } }));
    return { name, method: name.split(' ')[0], build, slots: [...slots], slow: made.slow ?? false };
  }));
}

/** Calls it at a tenant; the answer as `request` of the world gives it. */
export function call(world, tenant, { method, build }, v, token, onAnswer) {
  const { at, wellKnown, query, slow, ...rest } = build(v);
  void slow;
  const url = wellKnown ? `${world.url}/.well-known/oauth-authorization-server/t/${tenant}` : `${world.url}/t/${tenant}${at}`;
  return world.request(method, query ? `${url}?${new URLSearchParams(query)}` : url, { token, ...rest, onAnswer });
}

/** The answer as text, without what differs between any two: the request id, the date, fresh random values, and `sent`, which the caller said himself. */
export function plain({ status, headers, body }, sent = []) {
  // The length follows from the body, and the request id in it grows by a digit now and then.
  const length = Number(headers.get('content-length') ?? 0);
  if (length !== Buffer.byteLength(body)) throw new Error(`content-length says ${length} of ${body}`);
  const kept = [...headers].filter(([name]) => !['date', 'x-request-id', 'content-length'].includes(name)).sort()
    .map(([name, value]) => `${name}: ${value}`).join('\n');
  const text = `${status}\n${kept}\n\n${body}`.replaceAll(headers.get('x-request-id') || '\0', '<request>')
    .replace(/\b((?:state|nonce|code_challenge)=)[\w-]{43}(?![\w-])/g, '$1<fresh>').replace(/(daypass-login=)[\w-]{43}/, '$1<fresh>')
    .replace(/"id":"[\w-]{43}","state":"(\w+)","ends_at":"[^"]+"/, '"id":"<fresh>","state":"$1","ends_at":"<fresh>"').replace(/(\/test\?key=)[\w-]{43}/, '$1<fresh>')
    .replace(/("(?:device_code|user_code|created|lastModified)":")[^"]+/g, '$1<fresh>').replace(/\bs[ug]_[0-9a-z]{28}\b/g, '<fresh>').replace(/\ber_[\w-]{22}/g, '<fresh>').replace(/(user_code=)[A-Z]{4}-[A-Z]{4}/g, '$1<fresh>');
  return withoutSent(text, sent);
}

/** Errors quote what was sent, some of them only its beginning. */
export function withoutSent(text, sent) {
  for (const one of [...sent].sort((x, y) => y.length - x.length))
    for (const form of new Set([one, encodeURIComponent(one), one.slice(0, 80), one.slice(0, 40)])) text = text.replaceAll(form, '<sent>');
  return text;
}
