// The audit log as somebody who trusts nobody sees it: checkpoints kept elsewhere, exports verified without a server, proofs and receipts.
import { test, before, after } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { World, until } from './harness.mjs';

let w;
before(async () => { w = await World.start(); await w.login('dana'); });
after(async () => { await w.stop(); });

const operator = async (...args) => { const done = await w.cli('operator', args); assert.equal(done.code, 0, `${args.join(' ')}: ${done.err}`); return done.out; };
const verify = async (...args) => w.cli('nobody', ['audit', 'verify', '--server', 'http://127.0.0.1:1', ...args]);
const kept = {};

test('a grant lives and ends; the head of its log is kept elsewhere', async () => {
  const client = await w.connect(await w.creds('dana'));
  await client.query('SELECT 1');
  const [grant] = JSON.parse((await w.cli('dana', ['grants', 'ls', '-o', 'json'])).out).grants;
  kept.grant = grant.id;
  const early = await w.cli('dana', ['grants', 'receipt', grant.id]);
  assert.equal(early.code, 1, early.err);
  assert.match(early.err, /receipt\.not_closed/);
  const ended = await w.cli('dana', ['grants', 'end', grant.id]);
  assert.equal(ended.code, 0, ended.err);
  kept.key = (await operator('audit', 'key')).trim();
  kept.head = w.write('head', await operator('audit', 'checkpoint'));
  assert.match(kept.key, /^daypass\/[a-z0-9]{6}\/default\+[0-9a-f]{8}\+/);
  const note = fs.readFileSync(kept.head, 'utf8').split('\n');
  assert.equal(note[0], kept.key.split('+')[0]);
  assert.equal(note[3], '');
  assert.match(note[4], /^— daypass\//);
});

test('an export verifies against that head alone, with no server to ask', async () => {
  const text = await operator('audit', 'export');
  const log = w.write('log.jsonl', text);
  const good = await verify('--log', log, '--checkpoint', kept.head, '--key', kept.key, '-o', 'json');
  assert.equal(good.code, 0, good.err);
  const { records, covered, ok } = JSON.parse(good.out);
  assert.ok(ok && covered > 5 && records >= covered);
  const lines = text.trimEnd().split('\n').slice(0, covered);
  const bad = {
    flipped: lines.map((l, i) => (i === 4 ? l.replace(/"v":\d/, '"v":7') : l)),
    rewritten: lines.map((l, i) => (i === 4 ? l.replace(/"actor":"[^"]*"/, '"actor":"nobody"') : l)),
    dropped: lines.filter((_, i) => i !== 2),
    moved: [lines[1], lines[0], ...lines.slice(2)],
    'rolled back': lines.slice(0, -1),
    empty: [],
  };
  for (const [what, changed] of Object.entries(bad)) {
    const found = await verify('--log', w.write('bad', changed.map((l) => `${l}\n`).join('')), '--checkpoint', kept.head, '--key', kept.key);
    assert.equal(found.code, 1, `${what}: ${found.out}`);
    assert.match(found.err, /audit\.(leaf|gap|fork|rollback)/, what);
  }
  // Neither a head that nobody signed nor a log without a head is worth anything.
  const forged = w.write('forged', fs.readFileSync(kept.head, 'utf8').replace(/\n\d+\n/, '\n3\n'));
  assert.equal((await verify('--log', log, '--checkpoint', forged, '--key', kept.key)).code, 1);
  assert.match((await verify('--log', log)).err, /audit\.root_missing/);
  assert.match((await verify('--log', log, '--checkpoint', kept.head)).err, /audit\.key_missing/);
});

test('the server proves that its log begins with what was kept; a proof holds offline', async () => {
  await operator('secrets', 'ls');
  await w.cli('dana', ['logout']);
  await w.login('dana');
  const newer = w.write('newer', await operator('audit', 'checkpoint'));
  for (const args of [['--quick'], []]) {
    const done = await w.cli('operator', ['audit', 'verify', '--checkpoint', kept.head, '--checkpoint', newer, '--key', kept.key, ...args]);
    assert.equal(done.code, 0, done.err);
  }
  const proof = w.write('proof', await operator('audit', 'prove', '3'));
  const shown = await verify('--receipt', proof, '--key', kept.key, '-o', 'json');
  assert.equal(shown.code, 0, shown.err);
  assert.deepEqual(JSON.parse(shown.out).records, [3]);
  assert.equal((await verify('--receipt', w.write('proof2', fs.readFileSync(proof, 'utf8').replace('ok', 'no')), '--key', kept.key)).code, 1);
  assert.match(await operator('audit', 'prove', '3', '--format', 'tlog-proof'), /^c2sp\.org\/tlog-proof@v1\nindex 3\n/);
  assert.equal((await w.cli('operator', ['audit', 'prove', '999999'])).code, 6);
});

test('a receipt tells of creation, cut and proven absence, and says whose word it is', async () => {
  const out = await w.cli('dana', ['grants', 'receipt', kept.grant]);
  assert.equal(out.code, 0, out.err);
  const receipt = JSON.parse(out.out);
  assert.equal(receipt.grant, kept.grant);
  assert.match(receipt.statement, /signed by Daypass itself/);
  assert.ok(receipt.created_at <= receipt.cut_at && receipt.cut_at <= receipt.verified_absent_at);
  const file = w.write('receipt', out.out);
  const shown = await verify('--receipt', file, '--key', kept.key);
  assert.equal(shown.code, 0, shown.err);
  assert.match(shown.out, /verified absent/);
  assert.match(shown.out, /signed by Daypass itself/);
  const later = { ...receipt, cut_at: receipt.created_at };
  assert.equal((await verify('--receipt', w.write('later', JSON.stringify(later)), '--key', kept.key)).code, 1);
  // Only whose it is and administrators get one.
  assert.equal((await w.cli('operator', ['grants', 'receipt', kept.grant])).code, 0);
  await w.login('sam');
  const theirs = await w.cli('sam', ['grants', 'receipt', kept.grant]);
  assert.equal(theirs.code, 6, theirs.err);
});

test('as tiles it is a C2SP log, which a verifier of others reads', async () => {
  const folder = w.write('x', '').replace(/x$/, 'tiles');
  await operator('audit', 'export', '--format', 'tiles', '--to', folder);
  assert.ok(fs.existsSync(`${folder}/checkpoint`));
  const good = await verify('--log', folder, '--checkpoint', `${folder}/checkpoint`, '--checkpoint', kept.head, '--key', kept.key);
  assert.equal(good.code, 0, good.err);
  const checker = new URL('../../build/tlog-check/tlog-check', import.meta.url).pathname;
  if (fs.existsSync(checker)) assert.match(execFileSync(checker, [kept.key, folder, kept.head], { encoding: 'utf8' }), /^ok: \d+ records/);
});

test('as OCSF each record is an event with what was hashed beside it', async () => {
  const events = (await operator('audit', 'export', '--format', 'ocsf')).trimEnd().split('\n').map((l) => JSON.parse(l));
  const opened = events.find((e) => e.metadata.event_code === 'grant.opened');
  assert.equal(opened.type_uid, 300501);
  assert.equal(JSON.parse(opened.raw_data).seq, opened.metadata.sequence);
  for (const e of events) assert.ok(e.class_uid !== 0 || e.metadata.event_code.startsWith('connection.'), `${e.metadata.event_code} has no class`);
});

test('a person who has gone is erased, and every checkpoint still verifies', async () => {
  const before = await operator('audit', 'export');
  const receipt = w.write('kept-receipt', await operator('grants', 'receipt', kept.grant));
  const person = before.split('\n').filter(Boolean).map((l) => JSON.parse(l)).find((r) => r.action === 'grant.opened' && r.object === kept.grant).facts.principal;
  const lines = (text) => text.trimEnd().split('\n');
  const naming = (text) => lines(text).filter((l) => l.includes(`"${person}"`)).length;
  assert.ok(naming(before) > 5);
  const early = await w.cli('operator', ['audit', 'erase', person, '--yes']);
  assert.equal(early.code, 1, early.out);
  assert.match(early.err, /person\.signed_in/);
  assert.match((await w.cli('operator', ['audit', 'erase', person])).err, /person\.confirm/, 'nobody erases by a slip');
  assert.match((await w.cli('operator', ['audit', 'erase', 'operator', '--yes'])).err, /person\.name/);
  const sam = await w.cli('sam', ['audit', 'erase', person, '--yes']);
  assert.notEqual(sam.code, 0, 'only who administers');
  assert.equal((await w.cli('dana', ['logout'])).code, 0);
  const erased = async () => w.cli('operator', ['audit', 'erase', person, '--yes', '-o', 'json']);
  let done;
  await until(async () => { done = await erased(); return done.code === 0 || !/person\.has_access/.test(done.err); }, 'their grants to be closed', 20000);
  assert.equal(done.code, 0, done.err);
  const gone = JSON.parse(done.out);
  assert.ok(gone.records > 5 && gone.grants >= 1 && gone.decisions >= 1, done.out);
  assert.equal(gone.kept, 0);
  assert.equal(gone.scrubbed, true);
  const after = await operator('audit', 'export');
  assert.equal(naming(after), 0);
  assert.equal(lines(after).map((l) => JSON.parse(l)).at(-1).object, gone.id);
  const newest = w.write('newest', await operator('audit', 'checkpoint'));
  for (const text of [after, before]) {
    const good = await verify('--log', w.write('erased.jsonl', text), '--checkpoint', kept.head, '--key', kept.key);
    assert.equal(good.code, 0, good.err);
  }
  assert.equal((await w.cli('operator', ['audit', 'verify', '--checkpoint', newest, '--checkpoint', kept.head, '--key', kept.key])).code, 0);
  assert.equal((await verify('--receipt', receipt, '--key', kept.key)).code, 0, 'what was proven stays so');
  assert.equal((await w.cli('operator', ['grants', 'receipt', kept.grant])).code, 6);
  assert.match(await operator('audit', 'tail', '-n', '500'), /\(erased\)/);
  // Byte by byte, in all that the server keeps.
  const files = fs.readdirSync(w.data, { recursive: true }).map((f) => `${w.data}/${f}`).filter((f) => fs.statSync(f).isFile());
  assert.ok(files.some((f) => f.endsWith('.db')), files.join());
  for (const file of files) assert.ok(!fs.readFileSync(file).includes(person), `${file} still names them`);
  const told = JSON.parse((await w.cli('operator', ['audit', 'verify', '--checkpoint', kept.head, '--key', kept.key, '-o', 'json'])).out);
  assert.ok(told.erased > 5 && told.erased === told.accounted, JSON.stringify(told));
});

const metric = async (name) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await (await fetch(`${w.url}/metrics`)).text())[1]);

test('a restart goes on from what was signed, and at rest the log is signed without being asked', async () => {
  await w.stopServer();
  await w.startServer();
  await operator('secrets', 'ls');
  assert.equal((await w.cli('operator', ['audit', 'verify', '--quick', '--checkpoint', kept.head, '--key', kept.key])).code, 0);
  const before = await metric('daypass_audit_checkpoints_total');
  const made = await w.cli('operator', ['secrets', 'set', 'one', '--file', w.write('secret', 'one of a test')]);
  assert.equal(made.code, 0, made.err);
  await until(async () => await metric('daypass_audit_checkpoints_total') > before, 'the log to be signed', 20000);
  assert.equal(await metric('daypass_audit_checkpoint_failures_total'), 0);
  assert.equal((await operator('audit', 'key')).trim(), kept.key);
});
