// A PostgreSQL that says "done" and does nothing: a relay in front of a real one that hands everything on, and when it is told to lie
// puts a harmless statement in the place of each that takes an account or its login away.
import { createServer, connect } from 'node:net';

const takes = /DROP ROLE (?:IF EXISTS )?[^;]+|ALTER ROLE [^;]*NOLOGIN[^;]*|REVOKE [^;]+/g;

export class Liar {
  /** Listens at `host`:`port` for what is at 127.0.0.1:`port`. */
  static async start(host, port) {
    const self = new Liar();
    self.lies = false;      // "done", and nothing is
    self.blind = undefined; // an account that whoever asks after it does not find (a mutant)
    self.told = 0;          // lies
    self.sockets = new Set();
    self.server = createServer((client) => self.relay(client, connect(port, '127.0.0.1')));
    await new Promise((resolve) => { self.server.listen(port, host, resolve); });
    return self;
  }
  relay(client, server) {
    let rest = Buffer.alloc(0), started = false;
    for (const s of [client, server]) { this.sockets.add(s); s.on('close', () => this.sockets.delete(s)); s.setNoDelay(true); }
    client.on('data', (d) => {
      rest = Buffer.concat([rest, d]);
      for (;;) {
        // The first message has no type.
        const head = started ? 5 : 4;
        if (rest.length < head) return;
        const size = rest.readInt32BE(head - 4) + head - 4;
        if (rest.length < size) return;
        const message = rest.subarray(0, size);
        rest = rest.subarray(size);
        server.write(started && message[0] === 0x51 ? this.statement(message) : message);
        started = true;
      }
    });
    server.on('data', (d) => client.write(d));
    client.on('error', () => server.destroy()).on('close', () => server.destroy());
    server.on('error', () => client.destroy()).on('close', () => client.destroy());
  }
  statement(message) {
    let text = message.toString('utf8', 5, message.length - 1);
    if (this.lies) text = text.replace(takes, () => { this.told += 1; return 'SET LOCAL lock_timeout = 0'; });
    if (this.blind) text = text.replaceAll(this.blind, this.blind.replace(/.$/, '_'));
    const body = Buffer.from(text, 'utf8');
    const out = Buffer.alloc(body.length + 6);
    out[0] = 0x51;
    out.writeInt32BE(body.length + 5, 1);
    body.copy(out, 5);
    return out;
  }
  stop() {
    for (const s of this.sockets) s.destroy();
    this.server.close();
  }
}
