// The table of modules/ssrf.mjs, in namespaces for its network and its /etc. Where those can't be had it is skipped by name.
import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { ssrf } from './modules/ssrf.mjs';

const apart = [...(process.getuid() === 0 ? [] : ['--user', '--map-root-user']), '--net', '--mount'];
const able = spawnSync('unshare', [...apart, 'ip', 'link', 'set', 'lo', 'up'], { encoding: 'utf8' });
const skip = able.status === 0 ? false : `no namespaces here: ${(able.stderr ?? String(able.error)).trim()}`;

describe('endpoints where nobody may be asked', { skip }, async () => {
  const problems = new Map();
  const child = spawn('unshare', [...apart, process.execPath, new URL('ssrf.mjs', import.meta.url).pathname], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '', err = '';
  child.stdout.on('data', (d) => { out += d; });
  child.stderr.on('data', (d) => { err += d; });
  process.on('exit', () => child.kill('SIGKILL'));
  const done = once(child, 'close').then(([code]) => {
    for (const line of out.trim().split('\n').filter(Boolean)) { const { name, problem } = JSON.parse(line); problems.set(name, problem); }
    return code;
  });
  test('every module was run', { timeout: 120_000 }, async () => {
    assert.equal(await done, 0, err);
    assert.equal(problems.size, ssrf.length);
  });
  for (const { name } of ssrf) test(name, async () => { await done; assert.equal(problems.get(name) ?? null, null); assert.ok(problems.has(name), err); });
});
