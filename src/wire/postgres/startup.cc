#include "wire/postgres/startup.h"

#include <algorithm>
#include <array>

#include "base/encoding.h"
#include "wire/postgres/parse.h"

namespace daypass::wire::postgres {

namespace {

constexpr std::uint32_t kCancelCode = 80877102;
constexpr std::uint32_t kSslCode = 80877103;
constexpr std::uint32_t kGssEncCode = 80877104;

// Identity: what the session is must come from the grant alone.
constexpr std::array<std::string_view, 3> kIdentitySettings = {"role", "session_authorization", "is_superuser"};
// Not settings but parts of the packet: `-c user=postgres` must not become the parameter "user".
constexpr std::array<std::string_view, 3> kPacketFields = {"user", "database", "options"};
// Settings that PostgreSQL takes at connection start only, so that letting them pass would give more than SET gives
// later.
constexpr std::array<std::string_view, 9> kStartOnlySettings = {
    "local_preload_libraries", "session_preload_libraries", "ignore_system_indexes", "post_auth_delay",
    "pre_auth_delay",          "jit_debugging_support",     "jit_profiling_support", "log_connections",
    "log_disconnections"};

constexpr std::string_view kProtocolPrefix = "_pq_.";

base::Error bad(std::string check, std::string message,
                std::string hint = "use a client that speaks PostgreSQL's protocol 3") {
  return {base::Code::invalid, std::move(check), std::move(message), std::move(hint)};
}

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_letters(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

template <class List>
bool listed(std::string_view name, const List& list) noexcept {
  return std::any_of(list.begin(), list.end(), [&](std::string_view entry) { return same_letters(entry, name); });
}

bool is_setting_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kNameMax && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '$';
  });
}

// A name of a role or database that is fit for logs and messages; anything else could not exist on a target of ours.
bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && name.size() <= kNameMax && base::is_utf8(name) &&
         std::none_of(name.begin(), name.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// isspace() in the C locale, which pg_split_opts() uses.
bool is_space(char c) noexcept {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

base::Status check_setting(std::string_view name) {
  if (same_letters(name, "replication")) {
    return bad("startup.replication", "replication connections don't pass the gate",
               "connect without the parameter \"replication\"");
  }
  if (!is_setting_name(name))
    return bad("startup.parameter", "the name of a start-up parameter is not one of a setting");
  if (listed(name, kPacketFields) || same_letters(name.substr(0, kProtocolPrefix.size()), kProtocolPrefix)) {
    return bad("startup.parameter", "a part of the start-up packet is spelled with capitals or stands in \"options\"");
  }
  if (listed(name, kIdentitySettings)) {
    return base::Error{
        base::Code::denied, "startup.forbidden",
        "the setting \"" + std::string(name) + "\" can't be chosen at start-up: the grant decides who you are",
        "connect without it"};
  }
  if (listed(name, kStartOnlySettings)) {
    return base::Error{base::Code::denied, "startup.forbidden",
                       "the setting \"" + std::string(name) + "\" can't be chosen by a client", "connect without it"};
  }
  return {};
}

void put_setting(std::vector<Setting>& settings, std::string_view name, std::string_view value) {
  const auto same = [&](const Setting& s) { return same_letters(s.name, name); };
  settings.erase(std::remove_if(settings.begin(), settings.end(), same), settings.end());
  settings.push_back({std::string(name), std::string(value)});
}

// The next word of `options`, as pg_split_opts() would give it. False at the end.
bool next_word(std::string_view& rest, std::string& word) {
  while (!rest.empty() && is_space(rest[0])) rest.remove_prefix(1);
  if (rest.empty()) return false;
  word.clear();
  bool escaped = false;
  for (; !rest.empty(); rest.remove_prefix(1)) {
    const char c = rest[0];
    if (is_space(c) && !escaped) break;
    if (!escaped && c == '\\') {
      escaped = true;
    } else {
      word.push_back(c);
      escaped = false;
    }
  }
  return true;
}

base::Status take_options(std::string_view text, std::vector<Setting>& settings) {
  const auto refuse = [] {
    return bad("startup.options", "only \"-c name=value\" and \"--name=value\" may stand in \"options\"",
               "take other switches out of \"options\" (PGOPTIONS)");
  };
  std::string word;
  std::size_t count = 0;
  while (next_word(text, word)) {
    if (++count > kStartupSettingsMax) return bad("startup.options", "\"options\" holds too many settings");
    std::string assignment;
    if (word == "-c") {
      if (!next_word(text, assignment)) return refuse();
    } else if (word.starts_with("-c") || word.starts_with("--")) {
      assignment = word.substr(2);
    } else {
      return refuse();
    }
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos) return refuse();
    std::string name = assignment.substr(0, equals);
    // ParseLongOption(): a dash in the name is an underscore.
    std::replace(name.begin(), name.end(), '-', '_');
    DP_CHECK(check_setting(name));
    put_setting(settings, name, std::string_view(assignment).substr(equals + 1));
  }
  return {};
}

struct Pair {
  std::string_view name;
  std::string_view value;
};

base::Result<std::vector<Pair>> take_pairs(std::string_view body) {
  std::vector<Pair> pairs;
  for (;;) {
    Pair pair;
    if (!take_cstring(body, pair.name)) return bad("startup.layout", "the start-up packet has no terminator");
    if (pair.name.empty()) break;
    if (!take_cstring(body, pair.value)) return bad("startup.layout", "a start-up parameter has no value");
    if (pairs.size() == kStartupSettingsMax) return bad("startup.parameter", "too many start-up parameters");
    for (const Pair& other : pairs) {
      if (same_letters(other.name, pair.name)) return bad("startup.duplicate", "a start-up parameter stands twice");
    }
    pairs.push_back(pair);
  }
  if (!body.empty()) return bad("startup.layout", "bytes follow the terminator of the start-up packet");
  return pairs;
}

base::Status take_parameter(const Pair& pair, StartupMessage& out, std::string_view& options) {
  const auto [name, value] = pair;
  if (name == "user") {
    if (!is_plain_name(value))
      return bad("startup.user", "the user name is empty, longer than 63 bytes or not plain text");
    out.user = std::string(value);
  } else if (name == "database") {
    // To the server an empty name is an absent one.
    if (value.empty()) return {};
    if (!is_plain_name(value))
      return bad("startup.database", "the database name is longer than 63 bytes or not plain text");
    out.database = std::string(value);
  } else if (name == "options") {
    options = value;
  } else if (name.starts_with(kProtocolPrefix)) {
    out.protocol_options.emplace_back(name);
  } else {
    DP_CHECK(check_setting(name));
    put_setting(out.settings, name, value);
  }
  return {};
}

base::Result<FirstPacket> parse_startup_message(std::string_view body, std::uint16_t minor) {
  DP_TRY(const std::vector<Pair> pairs, take_pairs(body));
  StartupMessage out;
  out.minor = minor;
  std::string_view options;
  for (const Pair& pair : pairs) DP_CHECK(take_parameter(pair, out, options));
  if (out.user.empty()) {
    return base::Error{base::Code::invalid, "startup.user", "the start-up packet names no user",
                       "give the user name of a credential (`daypass creds`)"};
  }
  // The server applies `options` first and lets parameters win, wherever they stand in the packet.
  std::vector<Setting> settings;
  DP_CHECK(take_options(options, settings));
  for (const Setting& s : out.settings) put_setting(settings, s.name, s.value);
  out.settings = std::move(settings);
  return FirstPacket(std::move(out));
}

std::string hex_byte(std::string_view in) {
  return in.empty() ? std::string("none") : base::hex_encode(in.substr(0, 1));
}

base::Result<std::size_t> packet_length(std::string_view in) {
  std::string_view rest = in;
  std::uint32_t length = 0;
  if (!take_u32(rest, length)) return std::size_t{0};
  if (length < kStartupMin || length > kStartupMax) {
    return bad("startup.length", "the first packet says a length outside 8 … 10000 (first byte " + hex_byte(in) + ")");
  }
  return std::size_t{length};
}

void put_u32(std::string& out, std::uint32_t v) {
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out.push_back(static_cast<char>((v >> shift) & 0xffU));
}

void put_pair(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).push_back('\0');
  out.append(value.substr(0, value.find('\0'))).push_back('\0');
}

}  // namespace

base::Result<FirstPacket> parse_first_packet(std::string_view packet) {
  DP_TRY(const std::size_t length, packet_length(packet));
  if (length < kStartupMin || length != packet.size())
    return bad("startup.length", "the first packet is not as long as it says");
  packet.remove_prefix(4);
  std::uint32_t code = 0;
  DP_ASSERT(take_u32(packet, code));
  switch (code) {
    case kSslCode:
    case kGssEncCode:
      if (!packet.empty()) return bad("startup.length", "an encryption request has a tail");
      return code == kSslCode ? FirstPacket(SslRequest{}) : FirstPacket(GssEncRequest{});
    case kCancelCode: {
      CancelRequest cancel;
      if (!take_u32(packet, cancel.pid) || packet.empty() || packet.size() > kCancelKeyMax) {
        return bad("startup.cancel", "a cancel request has no key of 1 to 256 bytes");
      }
      cancel.key = std::string(packet);
      return FirstPacket(std::move(cancel));
    }
    default:
      break;
  }
  if (code >> 16U != 3) {
    return bad("startup.protocol", "protocol version " + std::to_string(code >> 16U) + "." +
                                       std::to_string(code & 0xffffU) + " is not spoken here, only 3.0");
  }
  return parse_startup_message(packet, static_cast<std::uint16_t>(code & 0xffffU));
}

base::Result<StartupReader::Read> StartupReader::next(std::string_view in) {
  Read read;
  if (in.empty()) return read;
  // A start-up packet of which this is the first length byte would have 369 MB: no confusion is possible.
  if (held_.empty() && in[0] == 0x16 && channel_ == Channel::plain && !ssl_asked_ && !gss_asked_) {
    read.packet = DirectTls{};
    return read;
  }
  const auto take = [&](std::size_t up_to) {
    const std::size_t n = std::min(up_to - held_.size(), in.size() - read.bytes);
    held_.append(in.substr(read.bytes, n));
    read.bytes += n;
    return held_.size() == up_to;
  };
  if (held_.size() < 4 && !take(4)) {
    // The first byte alone tells a stranger (an HTTP request, a TLS hello where none may come).
    if (held_[0] != 0)
      return bad("startup.length", "the first byte, " + hex_byte(held_) + ", is not one of a start-up packet");
    return read;
  }
  DP_TRY(const std::size_t length, packet_length(held_));
  if (!take(length)) return read;
  DP_TRY(FirstPacket packet, parse_first_packet(held_));
  held_ = std::string();
  DP_CHECK(admit(packet, in.size() - read.bytes));
  read.packet = std::move(packet);
  return read;
}

base::Status StartupReader::admit(const FirstPacket& packet, std::size_t left_over) {
  const bool ssl = std::holds_alternative<SslRequest>(packet);
  const bool gss = std::holds_alternative<GssEncRequest>(packet);
  if (!ssl && !gss) return {};
  if (channel_ == Channel::tls) return bad("startup.repeated", "an encryption request came inside TLS");
  bool& asked = ssl ? ssl_asked_ : gss_asked_;
  if (asked) return bad("startup.repeated", "the same encryption request came twice");
  asked = true;
  // Bytes sent before the answer were not encrypted and may be an attacker's (CVE-2021-23214).
  if (left_over > 0) return bad("startup.buffered", "bytes came behind an encryption request before it was answered");
  return {};
}

std::string_view startup_sqlstate(const base::Error& error) noexcept {
  if (error.check == "startup.protocol") return "0A000";
  if (error.check == "startup.user") return "28000";
  for (const std::string_view refused : {"startup.replication", "startup.options", "startup.forbidden"}) {
    if (error.check == refused) return "42501";
  }
  return "08P01";
}

std::string build_startup(const StartupMessage& client, std::string_view user, std::string_view database,
                          std::span<const Setting> forced) {
  for (const std::string_view name : {user, database}) {
    DP_ASSERT(!name.empty() && name.size() <= kNameMax && name.find('\0') == std::string_view::npos);
  }
  std::vector<Setting> settings = client.settings;
  for (const Setting& s : forced) put_setting(settings, s.name, s.value);
  std::string out;
  put_u32(out, 0);
  put_u32(out, 0x00030000);
  put_pair(out, "user", user);
  put_pair(out, "database", database);
  for (const Setting& s : settings) {
    DP_ASSERT(check_setting(s.name).ok());
    put_pair(out, s.name, s.value);
  }
  out.push_back('\0');
  std::string length;
  put_u32(length, static_cast<std::uint32_t>(out.size()));
  return out.replace(0, 4, length);
}

}  // namespace daypass::wire::postgres
