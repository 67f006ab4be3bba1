// Owns what the endpoints answer: discovery documents, and HTTP that is wrong, huge, packed or leads elsewhere.
import { gzipSync } from 'node:zlib';
import { accepted, answer, refused } from './tools.mjs';

const document = (name, sends, check, change, more = {}) => refused(name, sends, check, { discovery: (d, issuer) => ({ ...d, ...change(d, issuer) }) }, { fresh: true, ...more });
const fetched = ['authorization_endpoint', 'token_endpoint', 'jwks_uri', 'userinfo_endpoint'];
const nowhere = {
  'http beyond loopback': 'http://idp.example/x', 'http at 169.254.169.254': 'http://169.254.169.254/latest/meta-data/', 'http at a number': 'http://2130706433/', 'http at 127.1': 'http://127.1/', 'http at 0x7f.0.0.1': 'http://0x7f.0.0.1/',
  'a file': 'file:///etc/passwd', 'gopher': 'gopher://127.0.0.1:11211/_stats', 'javascript': 'javascript:alert(1)', 'a relative path': '/token', 'a user in it': 'https://admin:x@idp.example/', 'a fragment': 'https://idp.example/#x',
  'a line break': 'https://idp.example/\r\nHost: evil', 'a backslash': 'https://idp.example\\@evil.example/', 'a blank': 'https://idp.example/ x', 'no host': 'https:///x', 'a port too far': 'https://idp.example:70000/',
};
const endpoints = [
  ...['jwks_uri', 'token_endpoint'].flatMap((name) => Object.entries(nowhere).map(([how, url]) => document(`${name}: ${how}`, `\`${name}\` = ${JSON.stringify(url)}`, 'discovery.endpoint', () => ({ [name]: url })))),
  ...fetched.map((name) => document(`${name}: a number`, `a \`${name}\` that is a number`, 'discovery.endpoint', () => ({ [name]: 1 }))),
  ...fetched.slice(0, 3).map((name) => document(`${name}: not there`, `no \`${name}\``, 'discovery.endpoint', () => ({ [name]: undefined }))),
  document('authorization_endpoint: javascript', 'an `authorization_endpoint` that is a script', 'discovery.endpoint', () => ({ authorization_endpoint: 'javascript:alert(document.cookie)' })),
];

const documents = [
  document('issuer with a slash behind it', 'an `issuer` that ends in a slash', 'discovery.issuer', (d) => ({ issuer: `${d.issuer}/` })),
  document('no issuer', 'no `issuer`', 'discovery.issuer', () => ({ issuer: undefined })),
  document('issuer a list', '`issuer` as a list of one', 'discovery.issuer', (d) => ({ issuer: [d.issuer] })),
  document('issuer a template', 'an `issuer` for every tenant', 'discovery.issuer_template', () => ({ issuer: 'https://login.example/{tenantid}/v2.0' })),
  document('no flow of ours', 'only the implicit flow', 'discovery.response_types', () => ({ response_types_supported: ['id_token'] })),
  document('PKCE plain', 'only `plain` for PKCE', 'discovery.pkce', () => ({ code_challenge_methods_supported: ['plain'] })),
  document('HS256 alone', 'only HS256 and none for ID tokens', 'discovery.alg', () => ({ id_token_signing_alg_values_supported: ['HS256', 'none'] })),
  document('pushed requests alone', 'only pushed authorization requests', 'discovery.par_required', () => ({ require_pushed_authorization_requests: true })),
  document('another client authentication', 'only mutual TLS for clients', 'discovery.client_auth', () => ({ token_endpoint_auth_methods_supported: ['tls_client_auth'] })),
  document('lists that are texts', '`response_types_supported` that is a text', 'discovery.shape', () => ({ response_types_supported: 'code' })),
  document('a list of 1,000', '1,000 response types', 'discovery.shape', () => ({ response_types_supported: Array.from({ length: 1000 }, (_, i) => `t${i}`) })),
  document('a promise that is a text', 'a promise of `iss` that is "true"', 'discovery.shape', () => ({ authorization_response_iss_parameter_supported: 'true' })),
];

const endpoint = { discovery: 'discovery', jwks: 'jwks', token: 'token_endpoint', userinfo: 'userinfo' };
const settings = { userinfo: { idp: 'userinfo = true\n' } };
const at = (path, name, sends, check, lies, more = {}) => refused(`${path}: ${name}`, sends, `${endpoint[path]}.${check}`, lies, { fresh: true, ...settings[path], ...more });
const everywhere = (name, sends, check, lies) => Object.keys(endpoint).map((path) => at(path, name, sends, check[path] ?? check, lies(path)));
const body = (issuer, path, more = '') => {
  const said = { discovery: () => issuer.document(), jwks: () => ({ keys: issuer.published() }), userinfo: () => issuer.person, token: () => ({ access_token: 'at', token_type: 'Bearer', id_token: 'a.b.c' }) }[path]();
  return JSON.stringify(said).replace(/}$/, `${more}}`);
};
const elsewhere = (path, status) => answer(path, '', { status, headers: { location: '/led-astray' } });
/** Sends pieces until the other side has had enough. */
const endless = (path, piece, { status = 200 } = {}) => ({
  at: { [path]: (req, res) => {
    res.writeHead(status, { 'content-type': 'application/json' });
    const more = () => { while (!res.destroyed && res.write(piece)); };
    res.on('drain', more).on('error', () => {});
    more();
  } },
});
/** Answers with these bytes in the place of HTTP that node would write. */
const bytes = (path, text) => ({ at: { [path]: (req, res, issuer) => { const { socket } = req; socket.on('error', () => {}); socket.end(typeof text === 'function' ? text(issuer) : text); } } });
const repeated = (path, text, times) => bytes(path, `HTTP/1.1 200 OK\r\n${text.repeat(times)}`);

const http = [
  ...[301, 302, 307, 308].map((status) => everywhere(`redirected by ${status}`, `a redirect (${status}) to elsewhere`, 'status', (path) => elsewhere(path, status))).flat(),
  ...everywhere('an error', 'status 500 and a page', 'status', (path) => answer(path, '<h1>down</h1>', { status: 500, type: 'text/html' })),
  ...everywhere('nothing', 'status 204', 'status', (path) => answer(path, '', { status: 204 })),
  ...everywhere('an empty answer', 'status 200 and nothing', 'syntax', (path) => answer(path, '')),
  ...everywhere('a page', 'an HTML page called application/json', 'syntax', (path) => answer(path, '<!doctype html><title>Welcome</title>')),
  ...everywhere('a list', 'a JSON list', { discovery: 'syntax', jwks: 'shape', token: 'syntax', userinfo: 'syntax' }, (path) => answer(path, '[]')),
  ...everywhere('the same name twice', 'an object with one name twice', 'syntax', (path) => answer(path, (issuer) => body(issuer, path, { discovery: ',"jwks_uri":"https://evil.example/"', jwks: ',"keys":[]', token: ',"id_token":"d.e.f"', userinfo: ',"sub":"admin"' }[path]))),
  ...everywhere('100,000 levels', 'JSON of 100,000 levels', 'syntax', (path) => answer(path, (issuer) => body(issuer, path, `,"x":${'['.repeat(50_000)}${']'.repeat(50_000)}`))),
  ...everywhere('unpacked without being asked', 'gzip, which was not asked for', 'syntax', (path) => answer(path, (issuer) => gzipSync(body(issuer, path)), { headers: { 'content-encoding': 'gzip' } })),
  ...everywhere('a gzip bomb', 'gzip of 200 MB', 'syntax', (path) => answer(path, () => bomb(), { headers: { 'content-encoding': 'gzip' } })),
  ...everywhere('endless', 'an answer that does not end', 'too_large', (path) => endless(path, ' '.repeat(65536))),
  ...everywhere('an endless error', 'an error page that does not end', 'too_large', (path) => endless(path, ' '.repeat(65536), { status: 400 })),
  ...everywhere('100 MB by its head', 'a content-length of 100 MB', 'too_large', (path) => bytes(path, 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n{')),
  ...everywhere('endless headers', '1 MB of headers', 'too_large', (path) => repeated(path, `x-more: ${'x'.repeat(1000)}\r\n`, 1000)),
  ...everywhere('interim answers', '20,000 interim answers (103)', 'too_large', (path) => bytes(path, 'HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n'.repeat(20_000))),
  ...everywhere('cut short', 'half of the body that its head promises', 'fetch', (path) => bytes(path, 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"a":')),
  ...everywhere('no HTTP', 'a body without a head', 'fetch', (path) => bytes(path, '{"issuer":"x"}')),
  ...everywhere('two lengths', 'two lengths that differ', 'fetch', (path) => bytes(path, 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 40\r\n\r\n{}')),
  ...['token', 'userinfo'].flatMap((path) => ['text/html', 'text/plain', 'application/jwt', ''].map((type) => at(path, `content type ${type || 'none'}`, type ? `JSON called ${type}` : 'JSON without a content type', 'content_type', answer(path, (issuer) => body(issuer, path), { type })))),
  ...['discovery', 'jwks'].map((path) => accepted(`${path}: content type text/plain`, 'JSON called text/plain: what it is, is decided by reading it', answer(path, (issuer) => body(issuer, path), { type: 'text/plain' }), { fresh: true })),
];
let packed;
const bomb = () => (packed ??= gzipSync(Buffer.alloc(200 << 20, 0x20), { level: 9 }));

const reply = (name, sends, check, change) => refused(`token: ${name}`, sends, `token_endpoint.${check}`, { tokens: change });
const without = (name) => (t) => ({ ...t, [name]: undefined });
const tokens = [
  reply('no ID token', 'no `id_token`', 'id_token_missing', without('id_token')),
  reply('an ID token that is a list', '`id_token` as a list of one', 'id_token_missing', (t) => ({ ...t, id_token: [t.id_token] })),
  reply('no access token', 'no `access_token`', 'access_token', without('access_token')),
  reply('an access token with a line break', 'an `access_token` that would split a header', 'access_token', (t) => ({ ...t, access_token: 'a\r\nx-admin: 1' })),
  reply('no token_type', 'no `token_type`', 'shape', without('token_type')),
  reply('another token_type', 'a `token_type` of mac', 'token_type', (t) => ({ ...t, token_type: 'mac' })),
  refused('token: invalid_client', '`invalid_client`', 'token_endpoint.refused', answer('token', '{"error":"invalid_client"}', { status: 401 }), { hint: /client_id, client_secret/ }),
  refused('token: invalid_grant', '`invalid_grant`', 'token_endpoint.refused', answer('token', '{"error":"invalid_grant"}', { status: 400 }), { hint: /sign in again/ }),
  refused('token: an error that draws', 'an error whose description is a script', 'token_endpoint.refused', answer('token', JSON.stringify({ error: '<script>', error_description: `<script>alert(1)</script>\u202e\0${'x'.repeat(5000)}` }), { status: 400 }), { shows: (page) => !/<script>alert|\u202e|x{300}/.test(page) }),
  refused('userinfo without sub', 'userinfo without `sub`', 'userinfo.sub', { userinfo: ({ sub: _, ...u }) => u }, settings.userinfo),
  refused('userinfo with a sub that is a list', 'userinfo whose `sub` is a list of the right one', 'userinfo.sub', { userinfo: (u) => ({ ...u, sub: [u.sub] }) }, settings.userinfo),
  refused('userinfo that is signed', 'userinfo as a JWT', 'userinfo.content_type', answer('userinfo', 'e30.e30.e30', { type: 'application/jwt' }), settings.userinfo),
  accepted('userinfo that says who else', 'userinfo with `acr`, `sid`, `exp` and `iss` of its own, which are the token\'s alone', { userinfo: (u) => ({ ...u, acr: 7, sid: 7, exp: 1, iss: 'x', aud: 'x', nonce: 'x' }) }, settings.userinfo),
];

export const answers = [...endpoints, ...documents, ...http, ...tokens];
