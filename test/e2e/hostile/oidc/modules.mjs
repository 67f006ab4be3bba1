// Owns the table: every module, and which modules of the conformance suite's plans have no place here, with the reason.
//   node modules.mjs    writes the table of README.md
import fs from 'node:fs';
import { basic, comprehensive, configuration, fapi } from './modules/conformance.mjs';
import { suite } from './modules/tools.mjs';
import { tokens } from './modules/tokens.mjs';
import { keys } from './modules/keys.mjs';
import { answers } from './modules/answers.mjs';
import { callback } from './modules/callback.mjs';
import { logout } from './modules/logout.mjs';
import { slow } from './modules/slow.mjs';
import { ssrf } from './modules/ssrf.mjs';

export const tables = { basic, configuration, comprehensive, fapi, logout, tokens, keys, answers, callback, slow, ssrf };
export const modules = Object.entries(tables).flatMap(([table, list]) => list.map((m) => Object.assign(m, { table })));
const names = new Set();
for (const { table, name, refuse, accept } of modules) {
  if (names.has(`${table}: ${name}`)) throw new Error(`two modules of ${table} are called "${name}"`);
  if (Boolean(refuse) === Boolean(accept)) throw new Error(`"${name}" must be refused or accepted`);
  names.add(`${table}: ${name}`);
}

const logouts = ['', '-alg-none', '-no-event', '-with-nonce', '-wrong-alg', '-wrong-aud', '-wrong-event', '-wrong-iss'];
const client = ['happy-path', 'discovery-issuer-mismatch', 'invalid-iss', 'invalid-aud', 'invalid-secondary-aud', 'invalid-null-alg', 'invalid-alternate-alg', 'invalid-expired-exp', 'invalid-missing-exp', 'invalid-missing-aud', 'invalid-missing-iss', 'valid-aud-as-array', 'invalid-nonce', 'invalid-missing-nonce', 'invalid-authorization-response-iss', 'remove-authorization-response-iss', 'ensure-authorization-response-with-invalid-state-fails', 'ensure-authorization-response-with-invalid-missing-state-fails', 'token-endpoint-response-without-expires_in', 'token-type-case-insensitivity', 'rs-dpop-auth-scheme-case-insensitivity', 'happy-path-no-dpop-nonce', 'happy-path-no-mtls-endpoint-aliases', 'grant-management-happy-path', 'grant-management-query-and-revoke', 'grant-management-invalid-grant-id-fails'];
const jarm = ['without-iss-fails', 'with-invalid-iss-fails', 'without-aud-fails', 'with-invalid-aud-fails', 'without-exp-fails', 'with-expired-exp-fails', 'with-invalid-sig-fails', 'signature-is-not-none'].map((n) => `ensure-jarm-${n}`);
const prefixed = (letter, list) => suite(...list.map((n) => `${letter}:${n}`));
/** The suite's plans for relying parties that sign in by code, and their modules in the plans' order. */
export const plans = {
  'oidcc-client-basic-certification-test-plan': prefixed('o', ['', 'invalid-iss', 'missing-sub', 'invalid-aud', 'missing-iat', 'kid-absent-single-jwks', 'kid-absent-multiple-jwks', 'idtoken-sig-rs256', 'idtoken-sig-none', 'invalid-sig-rs256', 'userinfo-invalid-sub', 'nonce-invalid', 'scope-userinfo-claims', 'client-secret-basic']),
  'oidcc-client-config-certification-test-plan': prefixed('o', ['discovery-openid-config', 'discovery-jwks-uri-keys', 'discovery-issuer-mismatch', 'idtoken-sig-none', 'signing-key-rotation-just-before-signing', 'signing-key-rotation']),
  'oidcc-client-back-channel-logout-rp-basic': prefixed('o', logouts.map((n) => `rp-backchannel-rpinitlogout${n}`)),
  'oidcc-client-rp-initiated-logout-rp-basic': prefixed('o', ['rp-init-logout', 'rp-init-logout-other-state', 'rp-init-logout-no-state']),
  'oidcc-client-refreshtoken-test-plan': prefixed('o', ['refresh-token', 'refresh-token-invalid-issuer', 'refresh-token-invalid-sub']),
  'oidcc-client-test-plan': prefixed('o', ['missing-aud', 'userinfo-bearer-header', 'userinfo-bearer-body', 'nonce-unless-code-flow', 'missing-chash', 'invalid-chash', 'invalid-athash', 'missing-athash', 'form-post-error', 'invalid-sig-hs256', 'invalid-sig-es256', 'aggregated-claims', 'distributed-claims', 'mtls-endpoint-aliases', 'ignores-unparseable-key-in-jwks']),
  'fapi2-security-profile-final-client-test-plan': prefixed('f', client),
  'fapi2-message-signing-final-client-test-plan': [...prefixed('f', jarm), 'fapi2-security-profile-final-client-refresh-token-test'],
};

const because = (reason, ...list) => list.map((name) => [name, reason]);
/** Modules without a place here. */
export const notHere = new Map([
  ...because('`test/e2e/logout.test.mjs` has it; another state is refused by `logout.state`', ...prefixed('o', ['rp-init-logout', 'rp-init-logout-other-state'])),
  ...because('no refresh tokens are asked for', ...prefixed('o', ['refresh-token', 'refresh-token-invalid-issuer', 'refresh-token-invalid-sub'])),
  ...because('Daypass sends the access token in the header alone; `userinfo-bearer-header` is the other of the two', ...prefixed('o', ['userinfo-bearer-body'])),
  ...because('implicit and hybrid flows: Daypass asks for a code and nothing else', ...prefixed('o', ['nonce-unless-code-flow', 'missing-chash', 'invalid-chash'])),
  ...because('form_post: never asked for; a posted answer is refused, `callback`: a posted answer', ...prefixed('o', ['form-post-error'])),
  ...because('mutual TLS: Daypass proves itself by a secret or a signed assertion', ...prefixed('o', ['mtls-endpoint-aliases']), ...prefixed('f', ['happy-path-no-mtls-endpoint-aliases'])),
  ...because('DPoP: Daypass uses an access token once, for userinfo, and takes none that is bound', ...prefixed('f', ['rs-dpop-auth-scheme-case-insensitivity', 'happy-path-no-dpop-nonce'])),
  ...because('FAPI 2 as a whole: it wants pushed requests and tokens bound by DPoP or mutual TLS, which Daypass has not. Its modules are tried without', ...prefixed('f', ['happy-path'])),
  ...because('JARM: never asked for; an answer in one `response` is refused, `fapi`: answer as a JWT', ...prefixed('f', jarm)),
  ...because('grant management: Daypass needs nothing at the provider but a sign-in', ...prefixed('f', client.filter((n) => n.startsWith('grant-management')))),
  ...because('Open Banking Brazil', 'fapi2-security-profile-final-client-refresh-token-test'),
]);

const cell = (text) => text.replace(/\|/g, '\\|').replace(/[\u0000-\u001f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
/** README.md's two tables. */
export function readme() {
  const covered = new Map();
  for (const m of modules) for (const name of m.of) covered.set(name, [...(covered.get(name) ?? []), m]);
  const says = (m) => `${m.accept ? 'accepted' : m.refuse.map((c) => `\`${c}\``).join(' or ')} (${m.table}: ${m.name})`;
  const lines = [];
  for (const [plan, list] of Object.entries(plans)) {
    lines.push(`### ${plan}`, '', '| module | what becomes of it |', '|---|---|');
    for (const name of list) {
      if (!covered.has(name) && !notHere.has(name)) throw new Error(`nothing is said of ${name}`);
      lines.push(`| ${name} | ${covered.has(name) ? covered.get(name).map(says).join('; ') : `not here: ${notHere.get(name)}`} |`);
    }
    lines.push('');
  }
  lines.push('## Every module', '');
  for (const [table, list] of Object.entries(tables)) {
    lines.push(`### ${table}`, '', '| module | what the provider does | what becomes of it |', '|---|---|---|');
    for (const m of list) lines.push(`| ${cell(m.name)} | ${cell(m.sends)} | ${m.accept ? 'accepted' : m.refuse.map((c) => `\`${c}\``).join(' or ')} |`);
    lines.push('');
  }
  return `${lines.join('\n').trim()}\n`;
}
/** README.md as it should be: its own words, and the tables behind their mark. */
export function readmeText(text) {
  const mark = '<!-- node modules.mjs writes what follows -->\n';
  const at = text.indexOf(mark);
  return text.slice(0, at + mark.length) + '\n' + readme();
}
if (import.meta.filename === process.argv[1]) {
  const file = new URL('README.md', import.meta.url);
  fs.writeFileSync(file, readmeText(fs.readFileSync(file, 'utf8')));
}
