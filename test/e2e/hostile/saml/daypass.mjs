// Owns the calls of `daypass saml verify`: one response per process, or many over --batch.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { world } from './forge.mjs';

/** A folder that is gone when the process ends. */
export function scratch() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'daypass-saml-'));
  process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * A check by its place in the table's vocabulary. Daypass names the layer that refused: XML, its signature, its encryption, or
 * SAML; the table says what was wrong.
 */
function inVocabulary(check) {
  const [layer, name] = check.split('.');
  if (layer === 'xml') return name === 'too_large' || name === 'too_many' ? 'saml.too_large' : name === 'too_deep' ? 'saml.too_deep' : 'saml.xml';
  if (layer === 'xmldsig') return `saml.${name === 'id' ? 'duplicate_id' : name}`;
  if (layer === 'xmlenc') return 'saml.decrypt';
  if (layer === 'saml_metadata') return name === 'expired' ? 'saml.metadata_expired' : 'saml.metadata';
  return { 'saml.assertions': 'saml.shape', 'saml.not_yet_valid': 'saml.not_yet',
    'saml.encrypted_id': 'saml.name_id', 'saml.encrypted_attribute': 'saml.attribute', 'saml.unauthenticated_encryption': 'saml.decrypt', 'saml.session_over': 'saml.authn_statement' }[check] ?? check;
}

/**
 * {ok, identity}, {ok: false, check, message} or {broken: why} from an exit status and a line of JSON. A line of a batch has no
 * exit status of its own: null. Over 125 a shell or a sanitizer speaks, not the program.
 */
function answer(status, out, err) {
  let json;
  try { json = JSON.parse(out); } catch { return { broken: `exit ${status}, no JSON on standard output: ${JSON.stringify((out + err).slice(0, 200))}` }; }
  if (json.error) {
    const { check, message } = json.error;
    return typeof check === 'string' && typeof message === 'string' && status !== 0 && !(status > 125) ? { ok: false, check: inVocabulary(check), message } : { broken: `exit ${status} with ${out.slice(0, 200)}` };
  }
  return status === 0 || status === null ? { ok: true, identity: json } : { broken: `exit ${status} with ${out.slice(0, 200)}` };
}

export class Daypass {
  constructor(binary) {
    this.binary = path.resolve(binary);
    this.folder = scratch();
    this.known = new Map();
  }

  /** A file with this content, written once. */
  file(content, suffix) {
    if (!this.known.has(content)) {
      const name = path.join(this.folder, `${this.known.size}${suffix}`);
      fs.writeFileSync(name, content, { mode: 0o600 });
      this.known.set(content, name);
    }
    return this.known.get(content);
  }

  parameters({ metadata, spKey, requestId = world.request, spEntityId = world.sp, acs = world.acs, slo, now = world.now }) {
    if (slo) return ['--idp-metadata', this.file(metadata, '.xml'), '--slo', slo, '--now', now, '--request-id', world.logout];
    return ['--idp-metadata', this.file(metadata, '.xml'), '--sp-entity-id', spEntityId, '--acs', acs, '--now', now,
      ...(requestId === null ? [] : ['--request-id', requestId]), ...(spKey ? ['--sp-key', this.file(spKey, '.pem')] : [])];
  }

  /** The verdict on one posted field. `limit` is in ms; the process is killed behind it. */
  verify(field, options, limit = 10000) {
    const response = path.join(this.folder, 'response');
    fs.writeFileSync(response, field);
    const began = performance.now();
    const { status, signal, stdout, stderr, error } = spawnSync(this.binary, ['saml', 'verify', '-o', 'json', '--response', response, ...this.parameters(options)], { encoding: 'utf8', timeout: limit, killSignal: 'SIGKILL', maxBuffer: 64 << 20 });
    if (error?.code === 'ETIMEDOUT' || performance.now() - began > limit) return { broken: `no answer within ${limit / 1000} s` };
    if (error) return { broken: error.message };
    if (signal) return { broken: `died of ${signal}: ${stderr.slice(0, 200)}` };
    return answer(status, stdout, stderr);
  }

  /** A process that judges one response after the other. */
  batch(options) { return new Batch(this.binary, ['saml', 'verify', '--batch', ...this.parameters(options)]); }
}

class Batch {
  constructor(binary, args) {
    this.child = spawn(binary, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.waiting = [];
    this.ended = null;
    this.child.on('error', (e) => this.#end(e.message));
    this.child.on('exit', (code, signal) => this.#end(`the batch ended by itself (${signal ?? code})`));
    this.child.stdin.on('error', () => {});
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => this.waiting.shift()?.(answer(null, line, '')));
  }
  #end(why) {
    this.ended ??= { broken: why, later: true };
    // Answers come in order, so the first one that waits is the one that did it.
    for (const [i, done] of this.waiting.splice(0).entries()) done(i === 0 ? { broken: why } : this.ended);
  }
  /** The verdict on the base64 of a response. */
  verdict(base64) {
    if (this.ended) return Promise.resolve(this.ended);
    return new Promise((settle) => {
      const timer = setTimeout(() => { this.child.kill('SIGKILL'); this.#end('the batch gave no answer within 600 s'); }, 600000);
      const done = (v) => { clearTimeout(timer); settle(v); };
      this.waiting.push(done);
      this.child.stdin.write(`${JSON.stringify({ response: base64 })}\n`);
    });
  }
  close() { this.child.stdin.end(); }
}
