// Figures of many tenants: start and memory with 1,000 of them against one, and what the sign-in of one tenant takes while the
// identity provider of another says nothing. What is made here stays in the server.
import { createServer } from 'node:http';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { tokenOf } from './bench_signals.mjs';

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

/** Sign-ins of the default tenant while nobody waits for another tenant's provider, and while 100 sign-ins always do. */
export async function benchMute({ w, rounds, print }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const mute = createServer(() => {});
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  await make(w, agent, 'mute', { sso: `http://127.0.0.1:${mute.address().port}` });
  // Answered ones are begun again, not so fast that this were another figure.
  const waiting = (stop) => new Promise((resolve) => {
    const begin = () => {
      if (stop.over) return resolve();
      const req = http.get(`${w.url}/t/mute/oauth/authorize?${authorize('sso')}`, { agent: false }, (res) => res.resume());
      stop.requests.add(req);
      return req.on('error', () => {}).on('close', () => { stop.requests.delete(req); if (stop.over) resolve(); else setTimeout(begin, 100); });
    };
    begin();
  });
  const took = { alone: [], beside: [] };
  for (let i = 0; i < 10; i += 1) await tokenOf(w, 'dana');
  for (let r = 0; r < rounds; r += 1) for (const kind of r % 2 ? ['beside', 'alone'] : ['alone', 'beside']) {
    const stop = { over: false, requests: new Set() };
    const asked = kind === 'beside' && once(mute, 'request');
    const all = kind === 'beside' ? Array.from({ length: 100 }, () => waiting(stop)) : [];
    await asked;
    for (let i = 0; i < 40; i += 1) {
      const t = performance.now();
      await tokenOf(w, 'dana');
      took[kind].push(performance.now() - t);
    }
    stop.over = true;
    for (const req of stop.requests) req.destroy();
    await Promise.all(all);
    mute.closeAllConnections();
  }
  print(took);
  mute.closeAllConnections();
  mute.close();
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
