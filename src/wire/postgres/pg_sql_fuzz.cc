// The redactor, the splitter and the reader of names: no crash, no change without need, pieces that cover the text, a
// secret put where a password stands never comes out, and names are ones that a server could have, in bounds.
// parses: wire/postgres/sql_lexer.cc wire/postgres/redact.cc wire/postgres/relations.cc
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "base/encoding.h"
#include "wire/postgres/capture.h"
#include "wire/postgres/redact.h"
#include "wire/postgres/relations.h"
#include "wire/postgres/sql_lexer.h"

using namespace daypass;
using namespace daypass::wire::postgres;

namespace {

constexpr std::string_view kSecret = "Zq7Secret";

// The secret as each kind of literal spells it.
std::string literal(unsigned form, std::string_view secret) {
  const std::string s(secret);
  switch (form % 7U) {
    case 0:
      return "'" + s + "'";
    case 1:
      return "E'" + s + "\\''";
    case 2:
      return "$$" + s + "$$";
    case 3:
      return "$q$" + s + "$$$q$";
    case 4:
      return "U&'" + s + "'";
    case 5:
      return "'x'\n'" + s + "'";
    default:
      return "'" + s + "''" + s + "'";
  }
}

std::string statement(unsigned form, const std::string& secret, const std::string& noise) {
  switch (form % 6U) {
    case 0:
      return "CREATE ROLE a PASSWORD " + secret;
    case 1:
      return "alter user a with encrypted password " + secret + " valid until 'x'";
    case 2:
      return "ALTER ROLE a PASSWORD/*" + noise.substr(0, noise.find_first_of("*/")) + "*/ " + secret;
    case 3:
      return "CREATE USER MAPPING FOR a SERVER s OPTIONS (password " + secret + ")";
    case 4:
      return "create subscription s connection " + secret + " publication p";
    default:
      return "UPDATE users SET password = " + secret;
  }
}

void check_names(std::string_view text) {
  Relations relations;
  relations.add("SELECT * FROM zq7first; " + std::string(text));
  DP_ASSERT(relations.named().size() <= Relations::most && relations.named().contains({"", "zq7first"}));
  for (const auto& [relation, use] : relations.named()) {
    DP_ASSERT(use.read || use.written);
    for (const std::string& part : {relation.schema, relation.name})
      DP_ASSERT(part.size() <= 63 && base::is_utf8(part));
    DP_ASSERT(!relation.name.empty());
  }
}

enum class End { between_tokens, unsure, in_comment };

// Where noise leaves the lexer, and so what a statement behind it is.
End end_of(std::string_view noise) {
  SqlLexer lexer(noise);
  for (;;) {
    const SqlToken token = lexer.next();
    if (token.kind == SqlToken::Kind::end) return End::between_tokens;
    if (!token.sure) return End::unsure;
    if (token.kind == SqlToken::Kind::comment && token.end == noise.size()) return End::in_comment;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const unsigned form = data[0];
  const unsigned kind = data[1];
  const std::string noise(reinterpret_cast<const char*>(data + 2), size - 2);

  const Redacted clean = redact(noise);
  DP_ASSERT(clean.changed || clean.text == noise);
  if (!may_hold_secret(noise)) DP_ASSERT(!clean.changed);

  const auto starts = split_statements(noise);
  DP_ASSERT(!starts.empty() && starts.front() == 0);
  for (std::size_t i = 1; i < starts.size(); ++i) DP_ASSERT(starts[i] > starts[i - 1] && starts[i] < noise.size());

  const auto text = capture_text(noise, (form & 0x80U) != 0);
  DP_ASSERT(base::is_utf8(text->sql));
  check_names(text->sql);

  const End end = end_of(noise);
  if (noise.find(kSecret) != std::string::npos || end == End::in_comment) return 0;
  // Noise that leaves a literal open could make a name of the secret, which is then one to the server too.
  if (end == End::unsure) return 0;
  const std::string sql = noise + ";" + statement(kind, literal(form, kSecret), noise);
  for (const std::string& whole : {sql, sql + ";" + noise, sql.substr(0, sql.size() - 1 - form % 4U)}) {
    DP_ASSERT(redact(whole).text.find(kSecret) == std::string::npos);
  }
  return 0;
}
