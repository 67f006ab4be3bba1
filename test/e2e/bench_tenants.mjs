// Figures of many tenants: start and memory with 1,000 of them against one, and what the sign-in of one tenant takes while the
// identity provider of another says nothing. What is made here stays in the server.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { tokenOf, until } from './harness.mjs';

/** A request of the operator, on the server's socket. */
function operate(w, agent, path, body) {
  return new Promise((resolve, reject) => {
    const req = http.request({ socketPath: w.socket, agent, path, method: 'POST', headers: { 'content-type': 'application/json' } }, (res) => {
      let text = '';
      res.on('data', (d) => { text += d; });
      res.on('end', () => (res.statusCode < 300 ? resolve(text) : reject(new Error(`${path}: ${res.statusCode} ${text}`))));
    });
    req.on('error', reject);
    req.end(JSON.stringify(body));
  });
}

const provider = (w, name, issuer) => `[[idp]]\nname = "${name}"\nissuer = "${issuer}"\nclient_id = "daypass"\nclient_secret = "file:${w.folder}/client-secret"\ngroups = "groups"\n`;

const authorize = (idp) => new URLSearchParams({ response_type: 'code', client_id: 'daypass-cli', redirect_uri: 'http://127.0.0.1:9/callback', code_challenge: 'A'.repeat(43), code_challenge_method: 'S256', state: 's'.repeat(20), ...(idp && { idp }) });

/** Makes a tenant with these identity providers, {name: issuer}. */
async function make(w, agent, id, idps) {
  await operate(w, agent, '/api/v1/tenants', { id });
  const files = {
    'tenant.toml': Object.entries(idps).map(([name, issuer]) => provider(w, name, issuer)).join('\n'),
    'policies/main.cedar': `@id("admins") permit(principal in Group::"${Object.keys(idps)[0]}/admins", action == Action::"administer", resource == Tenant::"${id}");\n`,
  };
  const { version } = JSON.parse(await operate(w, agent, `/t/${id}/api/v1/apply`, { files, dry_run: false }));
  if (!version) throw new Error(`nothing was applied to ${id}`);
}

/**
 * Sign-ins of the default tenant: "alone", beside 100 of another tenant that its mute provider keeps waiting ("mute"), and beside
 * the same requests at the same times to a provider that refuses at once ("refused"): what a mute provider does to others is the
 * difference between the last two.
 */
export async function benchMute({ w, rounds, samples, print }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  let refuses = true;
  const other = createServer((req, res) => { if (refuses) { res.statusCode = 503; res.end(); } });
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  await make(w, agent, 'mute', { sso: `http://127.0.0.1:${other.address().port}` });
  const url = `${w.url}/t/mute/oauth/authorize?${authorize('sso')}`;
  const load = async (what) => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('bench_load.mjs', import.meta.url)), JSON.stringify({ url, ...what })], { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (d) => { out += d; });
    await until(() => out.includes('\n'), 'the other requests to be sent', 60000);
    return async () => { child.stdin.end(); await once(child, 'close'); return JSON.parse(out.split('\n')[1]); };
  };
  const took = { alone: [], refused: [], mute: [] };
  let times;  // of the requests of the last "mute"
  const arms = {
    alone: async () => async () => {},
    refused: async () => load({ at: times }),
    mute: async () => {
      refuses = false;
      const asked = once(other, 'request');
      const end = await load({ count: 100 });
      await asked;
      return async () => { times = await end(); };
    },
  };
  const arm = async (kind, count) => {
    const end = await arms[kind]();
    for (let i = -20; i < count; i += 1) {
      const t = performance.now();
      await tokenOf(w, 'dana');
      if (i >= 0) took[kind].push(performance.now() - t);
    }
    await end();
    // Whoever still waits for the provider is refused before the next begins: this one stands behind them.
    refuses = true;
    other.closeAllConnections();
    await (await fetch(url)).text();
  };
  await arm('mute', 0);
  // The provider of those who sign in lives in this process, which gets faster and then slower as it goes on: every order, in turn.
  for (let i = 0; i < samples; i += 1) await tokenOf(w, 'dana');
  const orders = [['alone', 'refused', 'mute'], ['mute', 'refused', 'alone'], ['refused', 'mute', 'alone'], ['alone', 'mute', 'refused'], ['mute', 'alone', 'refused'], ['refused', 'alone', 'mute']];
  for (let r = 0; r < rounds; r += 1) for (const kind of orders[r % orders.length]) await arm(kind, samples);
  print(took);
  other.closeAllConnections();
  other.close();
  agent.destroy();
}

/** Restarts with the tenants that are there, then with `count` more of two identity providers each. */
export async function benchTenants({ w, rounds, print, count = 1000 }) {
  const rss = () => Number(fs.readFileSync(`/proc/${w.server.pid}/smaps_rollup`, 'utf8').match(/^Rss:\s+(\d+)/m)[1]);
  const restarts = async () => {
    const took = [];
    for (let r = 0; r < rounds; r += 1) {
      await w.stopServer();
      const t = performance.now();
      await w.startServer();
      took.push(performance.now() - t);
    }
    return { took, rss: rss() };
  };
  const few = await restarts();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 2 });
  const begun = performance.now();
  const ids = Array.from({ length: count }, (_, i) => `tenant-${i}`);
  const maker = async () => { for (let id = ids.pop(); id; id = ids.pop()) await make(w, agent, id, { sso: `${w.op.issuer}/${id}`, partners: `http://127.0.0.1:1/${id}` }); };
  await Promise.all([maker(), maker()]);
  const making = performance.now() - begun;
  agent.destroy();
  const many = await restarts();
  // They are all there, and each asks its own people which of its two providers.
  for (let i = 0; i < count; i += 1) {
    const page = await (await fetch(`${w.url}/t/tenant-${i}/oauth/authorize?${authorize()}`)).text();
    if (page.match(/class="idp"/g)?.length !== 2) throw new Error(`tenant-${i}: ${page}`);
  }
  print({ few, many, used: rss(), making, count });
}
