// Owns the reading of the SAML corpus: the archive's files, and where the archive is.
import fs from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';

const root = path.resolve(import.meta.dirname, '../../../..');
/** The archive's place: DAYPASS_CORPUS names its folder, `../shared/corpus` beside the repository otherwise. */
export const place = () => path.join(path.resolve(root, process.env.DAYPASS_CORPUS ?? '../shared/corpus'), 'saml.tar.gz');

/** Name -> text of every file in a tar archive under gzip. */
export function unpack(archive) {
  const bytes = zlib.gunzipSync(fs.readFileSync(archive));
  const files = new Map();
  let long;  // GNU tar puts a name of more than 100 bytes into an entry of its own before the file's
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0;) {
    const header = bytes.subarray(at, at + 512);
    const word = (from, size) => header.subarray(from, from + size).toString().replace(/\0.*$/s, '').trim();
    const size = parseInt(word(124, 12) || '0', 8);
    const prefix = word(257, 5) === 'ustar' ? word(345, 155) : '';
    const kind = String.fromCharCode(header[156]);
    const body = bytes.subarray(at + 512, at + 512 + size).toString();
    const name = long ?? (prefix ? `${prefix}/${word(0, 100)}` : word(0, 100));
    long = kind === 'L' ? body.replace(/\0+$/, '') : undefined;
    if (kind === '0' || kind === '\0') files.set(name, body);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}
