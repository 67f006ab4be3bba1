// Sign-ins that are begun and not gone on with, in a process of its own so that it takes no time from the one that measures:
// node bench_load.mjs '{"url": …, "count": 100}' keeps so many waiting; with "at": [ms, …] it sends one at each of these times.
// Says "ready" when the first are sent and, where `at` is given, answered. When stdin ends: all it sent, as [ms, …].
import http from 'node:http';

const { url, count, at } = JSON.parse(process.argv[2]);
const begun = performance.now();
const sent = [], open = new Set();
let over = false, pending = at ? at.filter((t) => t === 0).length : count;
const one = () => { pending -= 1; if (pending === 0) process.stdout.write('ready\n'); };
function send(first, done) {
  sent.push(first ? 0 : performance.now() - begun);
  const req = http.get(url, { agent: false }, (res) => res.resume());
  open.add(req);
  if (first && !at) req.once('finish', one);
  req.on('error', () => {}).on('close', () => { open.delete(req); if (first && at) one(); if (!over) done?.(); });
}
// The load's own timetable, of a bench: nothing here is judged by it.
if (at) for (const t of at) { if (t === 0) send(true); else setTimeout(() => { if (!over) send(false); }, t).unref(); }
else {
  // Answered ones are begun again, not so fast that this were another figure.
  const keep = () => setTimeout(() => { if (!over) send(false, keep); }, 100);
  for (let i = 0; i < count; i += 1) send(true, keep);
}
process.stdin.resume().on('end', () => {
  over = true;
  for (const req of open) req.destroy();
  // Sockets that providers keep open would keep the process, too.
  process.stdout.write(`${JSON.stringify(sent)}\n`, () => process.exit(0));
});
