// How each command of docs/reference/cli.md that takes an identifier is called, and why the others take none. tenants.test.mjs fails for a
// command that is not here. `v` holds one identifier of each kind.
import fs from 'node:fs';
import { withoutSent } from './operations.mjs';

/** The commands that the reference describes. */
export function described() {
  const text = fs.readFileSync(new URL('../../docs/reference/cli.md', import.meta.url), 'utf8');
  return [...text.matchAll(/^### `daypass (.+)`$/gm)].map((m) => m[1]);
}

const none = 'takes nothing that another tenant could have', folder = 'takes a folder; operations.mjs sends its contents', file = 'works on files, without a server';

/** Command to a list of argument lists, or to the reason why there is none. */
export const commands = {
  connect: (v) => [['connect', v.target, '--', '-c', 'SELECT 1'], ['connect', 'pg/orders', '--role', v.role, '--', '-c', 'SELECT 1']],
  creds: (v) => [['creds', v.target], ['creds', 'pg/orders', '--role', v.role]],
  'grants show': (v) => [['grants', 'show', v.grant]],
  'grants extend': (v) => [['grants', 'extend', v.grant, '--for', '10m']],
  'grants receipt': (v) => [['grants', 'receipt', v.grant]],
  'grants end': (v) => [['grants', 'end', v.grant]],
  'sessions end': (v) => [['sessions', 'end', v.session]],
  'sessions revalidate': (v) => [['sessions', 'revalidate', v.session]],
  'policy explain': (v) => [['policy', 'explain', v.principal, 'pg/orders/reader'], ['policy', 'explain', v.person, 'pg/orders/reader'], ['policy', 'explain', 'corp/dana', v.role]],
  'admin restore': 'only over the operator\'s socket, and names nothing',
  'admin orphans': 'only over the operator\'s socket, which is asked for one tenant or for all',
  'audit erase': (v) => [['audit', 'erase', v.principal, '--yes']],
  'report unused': (v) => [['report', 'unused', '--tenant', v.tenant]],
  freeze: (v) => [['freeze', '--reason', 'x', '--tenant', v.tenant]],
  thaw: (v) => [['thaw', '--tenant', v.tenant]],
  'secrets ls': (v) => [['secrets', 'ls', '--tenant', v.tenant]],
  'secrets set': 'keeps something new of its own; operations.mjs tries names of another tenant',
  'secrets make-key': 'makes something new of its own; operations.mjs tries names of another tenant',
  'secrets rm': (v) => [['secrets', 'rm', v.secret]],
  'target check': (v) => [['target', 'check', v.target]],
  'idp test': (v) => [['idp', 'test', v.idp, '--no-browser']],
  // Only over the operator's socket: without it, the name of a tenant makes no difference.
  'tenants create': (v) => [['tenants', 'create', v.tenant]],
  'tenants set': (v) => [['tenants', 'set', v.tenant, '--private-host', '127.0.0.1']],
  'tenants delete': (v) => [['tenants', 'delete', v.tenant, '--yes']],
  // Each at another tenant, with the login at one's own.
  status: (v) => [['status', '--tenant', v.tenant]],
  ls: (v) => [['ls', '--all', '--tenant', v.tenant]],
  'grants ls': (v) => [['grants', 'ls', '--all', '--closed', '--tenant', v.tenant]],
  'sessions ls': (v) => [['sessions', 'ls', '--tenant', v.tenant]],
  'policy schema': (v) => [['policy', 'schema', '--tenant', v.tenant]],
  'audit tail': (v) => [['audit', 'tail', '--tenant', v.tenant]],
  'audit export': (v) => [['audit', 'export', '--tenant', v.tenant]],
  'audit verify': (v) => [['audit', 'verify', '--tenant', v.tenant]],
  'audit checkpoint': (v) => [['audit', 'checkpoint', '--tenant', v.tenant]],
  'audit key': (v) => [['audit', 'key', '--tenant', v.tenant]],
  'audit prove': (v) => [['audit', 'prove', v.cursor], ['audit', 'prove', '0', '--tenant', v.tenant]],
  'audit forward ls': (v) => [['audit', 'forward', 'ls', '--tenant', v.tenant]],
  'audit forward retry': (v) => [['audit', 'forward', 'retry', v.forward]],
  'setup psql': (v) => [['setup', 'psql', '--tenant', v.tenant]],
  'idp domains': (v) => [['idp', 'domains', '--tenant', v.tenant], ['idp', 'domains', '--check', '--tenant', v.tenant]],
  'tenants ls': (v) => [['tenants', 'ls', '--tenant', v.tenant]],
  login: 'the sign-in page is compared by operations.mjs',
  logout: none, demo: none, doctor: none, version: none, help: none,
  apply: folder, 'policy simulate': folder,
  'idp add': 'writes a file of a folder; what it asks the server is compared by operations.mjs',
  'target installer': file, 'policy authorize': file, 'policy validate': file, 'policy translate': file, 'policy fmt': file, 'policy corpus': file, 'oidc verify': file, 'saml verify': file, 'jose verify': file,
  'server run': file, 'server config check': file,
};

/** What a command printed and its exit code, without the request id and without what was typed. */
export function said({ code, out, err }, sent) {
  return withoutSent(`${code}\n${out}\n${err}`, sent).replace(/(request(?:_id"|):\s*"?)[\w-]+-\d+/g, '$1<request>');
}
