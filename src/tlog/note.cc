#include "tlog/note.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/encoding.h"
#include "base/utf8.h"
#include "crypto/digest.h"

namespace daypass::tlog {

using base::Code;
using base::Error;
using base::Result;

namespace {

constexpr char ed25519 = '\x01';  // signed-note: signature types
constexpr std::size_t key_size = 32, signature_size = 64, id_size = 4;
constexpr std::string_view dash = "\xe2\x80\x94 ";  // U+2014 and a space
constexpr std::string_view proof_header = "c2sp.org/tlog-proof@v1\n";
// A path has a hash for each level of a tree of 2^62 leaves at most.
constexpr std::size_t max_path = 64;

Error bad_key(std::string why) {
  return {Code::invalid, "note.key", "that is no verifier key: " + std::move(why),
          "it reads NAME+8 hexadecimal digits+base64; daypass audit checkpoint shows a log's own"};
}
Error bad_note(std::string why) {
  return {Code::invalid, "note.shape", "that is no signed note: " + std::move(why)};
}
Error bad_checkpoint(std::string why) {
  return {Code::invalid, "checkpoint.shape", "that is no checkpoint: " + std::move(why)};
}
Error bad_proof(std::string why) {
  return {Code::invalid, "tlog.proof_text", "that is no proof of a record: " + std::move(why)};
}

std::string big_endian(std::uint32_t n) {
  std::string out;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(n >> shift & 0xffU);
  return out;
}

/// White space as Unicode has it (White_Space), by its UTF-8.
bool is_space(std::string_view character) {
  constexpr std::string_view one = "\t\n\v\f\r \x1c\x1d\x1e\x1f";
  if (character.size() == 1) return one.find(character[0]) != std::string_view::npos;
  for (const std::string_view space : {"\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\xa8", "\xe2\x80\xa9",
                                       "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"})
    if (character == space) return true;
  return character >= "\xe2\x80\x80" && character <= "\xe2\x80\x8a" && character.size() == 3;
}

bool good_name(std::string_view name) {
  if (name.empty() || name.size() > 1000 || name.find('+') != std::string_view::npos) return false;
  while (!name.empty()) {
    const auto step = base::utf8_step(name);
    if (!step.good || is_space(name.substr(0, step.bytes)) || static_cast<unsigned char>(name[0]) < 0x20) return false;
    name.remove_prefix(step.bytes);
  }
  return true;
}

bool good_text(std::string_view text) {
  return base::is_utf8(text) &&
         std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\n'; });
}

std::optional<std::uint64_t> decimal(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  std::uint64_t out = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (failed != std::errc() || end != text.data() + text.size() || out > max_size) return std::nullopt;
  return out;
}

/// Takes the first line, without its newline; nullopt when no newline is left.
std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

struct Signature {
  std::string_view name;
  std::string bytes;  ///< id and signature
};

Result<Signature> parse_signature(std::string_view line) {
  if (!line.starts_with(dash)) return bad_note("a signature line begins with an em dash and a space");
  line.remove_prefix(dash.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos) return bad_note("a signature line has a name and a signature");
  const auto bytes = base::base64_decode(line.substr(space + 1));
  if (!good_name(line.substr(0, space)) || !bytes || bytes->size() <= id_size)
    return bad_note("a signature line is malformed");
  return Signature{line.substr(0, space), *bytes};
}

}  // namespace

Result<NoteKey> NoteKey::parse(std::string_view text) {
  const std::size_t first = text.find('+');
  const std::size_t second = first == std::string_view::npos ? first : text.find('+', first + 1);
  if (second == std::string_view::npos) return bad_key("it has no two plus signs");
  NoteKey out;
  out.name = std::string(text.substr(0, first));
  if (!good_name(out.name)) return bad_key("its name is empty or has a space");
  const std::string_view id = text.substr(first + 1, second - first - 1);
  const auto bytes = base::base64_decode(text.substr(second + 1));
  if (!bytes || bytes->empty()) return bad_key("its key is no base64");
  if (bytes->front() != ed25519 || bytes->size() != 1 + key_size) return bad_key("it is of another kind than Ed25519");
  out.public_key = bytes->substr(1);
  if (id != base::hex_encode(big_endian(out.id()))) return bad_key("its id is that of another key");
  return out;
}

std::string NoteKey::text() const {
  return name + "+" + base::hex_encode(big_endian(id())) + "+" + base::base64_encode(ed25519 + public_key);
}

std::uint32_t NoteKey::id() const {
  const std::string hash = crypto::sha256(name + "\n" + ed25519 + public_key);
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < id_size; ++i) out = out << 8U | static_cast<unsigned char>(hash[i]);
  return out;
}

std::string sign_note(std::string_view text, const NoteKey& key, const SignNote& sign) {
  DP_ASSERT(text.ends_with('\n') && good_text(text) && good_name(key.name) && key.public_key.size() == key_size);
  const std::string signature = sign(text);
  DP_ASSERT(signature.size() == signature_size);
  return std::string(text) + "\n" + std::string(dash) + key.name + " " +
         base::base64_encode(big_endian(key.id()) + signature) + "\n";
}

Result<std::string> open_note(std::string_view note, const NoteKey& key, const VerifyNote& verify) {
  if (note.size() > max_note) return bad_note("it is larger than 64 KiB");
  if (!good_text(note)) return bad_note("it is not UTF-8, or has a control character");
  const std::size_t blank = note.rfind("\n\n");
  if (blank == std::string_view::npos || !note.ends_with('\n')) return bad_note("no blank line is before signatures");
  const std::string_view text = note.substr(0, blank + 1);
  std::string_view rest = note.substr(blank + 2);
  if (rest.empty()) return bad_note("it has no signature");
  bool verified = false;
  for (std::size_t n = 0; !rest.empty(); ++n) {
    if (n == max_signatures) return bad_note("it has more than 100 signatures");
    DP_TRY(const Signature signature, parse_signature(*take_line(rest)));
    if (signature.name != key.name || signature.bytes.substr(0, id_size) != big_endian(key.id())) continue;
    const std::string_view bytes = std::string_view(signature.bytes).substr(id_size);
    if (bytes.size() != signature_size || !verify(key.public_key, text, bytes))
      return Error{Code::invalid, "note.signature", "the signature of " + key.name + " does not verify"};
    verified = true;
  }
  if (!verified)
    return Error{Code::invalid, "note.unsigned", "the note is not signed by " + key.name + " with this key"};
  return std::string(text);
}

std::string checkpoint_text(const Checkpoint& checkpoint) {
  DP_ASSERT(!checkpoint.origin.empty() && checkpoint.origin.find('\n') == std::string::npos &&
            checkpoint.root.size() == hash_size);
  return checkpoint.origin + "\n" + std::to_string(checkpoint.size) + "\n" + base::base64_encode(checkpoint.root) +
         "\n";
}

Result<Checkpoint> parse_checkpoint(std::string_view text) {
  const auto origin = take_line(text), size = take_line(text), root = take_line(text);
  if (!origin || !size || !root) return bad_checkpoint("it has no three lines");
  if (origin->empty()) return bad_checkpoint("its origin is empty");
  const auto number = decimal(*size);
  if (!number) return bad_checkpoint("its size is no number");
  const auto hash = base::base64_decode(*root);
  if (!hash || hash->size() != hash_size) return bad_checkpoint("its root is no SHA-256 hash");
  while (!text.empty()) {
    const auto extension = take_line(text);
    if (!extension || extension->empty()) return bad_checkpoint("an extension line is empty or not ended");
  }
  return Checkpoint{std::string(*origin), *number, *hash};
}

Result<Checkpoint> open_checkpoint(std::string_view note, const NoteKey& key, const VerifyNote& verify) {
  DP_TRY(const std::string text, open_note(note, key, verify));
  DP_TRY(Checkpoint out, parse_checkpoint(text));
  // The key of one log must not speak for another.
  if (out.origin != key.name)
    return Error{Code::invalid, "checkpoint.origin",
                 "the checkpoint is of the log " + out.origin + ", the key of " + key.name};
  return out;
}

std::string proof_text(const RecordProof& proof) {
  std::string out(proof_header);
  out += "index " + std::to_string(proof.index) + "\n";
  for (const Hash& hash : proof.path) out += base::base64_encode(hash) + "\n";
  return out + "\n" + proof.checkpoint;
}

Result<RecordProof> parse_proof(std::string_view text) {
  if (text.size() > max_note + max_note) return bad_proof("it is larger than 128 KiB");
  if (!text.starts_with(proof_header)) return bad_proof("it does not begin with c2sp.org/tlog-proof@v1");
  text.remove_prefix(proof_header.size());
  // Opaque and not authenticated; ours have none.
  if (text.starts_with("extra ")) {
    const auto extra = take_line(text);
    if (!extra || !base::base64_decode(extra->substr(6))) return bad_proof("its extra data is no base64");
  }
  const auto line = take_line(text);
  const auto index = line && line->starts_with("index ") ? decimal(line->substr(6)) : std::nullopt;
  if (!index) return bad_proof("it has no index");
  RecordProof out{*index, {}, {}};
  for (;;) {
    const auto hash = take_line(text);
    if (!hash) return bad_proof("it has no checkpoint");
    if (hash->empty()) break;
    const auto bytes = base::base64_decode(*hash);
    if (!bytes || bytes->size() != hash_size || out.path.size() == max_path) return bad_proof("a hash is malformed");
    out.path.push_back(*bytes);
  }
  out.checkpoint = std::string(text);
  return out;
}

Result<Checkpoint> verify_record(std::string_view record, const RecordProof& proof, const NoteKey& key,
                                 const VerifyNote& verify) {
  DP_TRY(Checkpoint head, open_checkpoint(proof.checkpoint, key, verify));
  DP_CHECK(verify_inclusion(leaf_hash(record), proof.index, head.size, proof.path, head.root));
  return head;
}

}  // namespace daypass::tlog
