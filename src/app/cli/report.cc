// What policies give and nobody used.
#include "app/cli/client.h"
#include "app/cli/commands.h"

namespace daypass::app::cli {

namespace json = base::json;

namespace {

std::string told(const json::Value& role, std::int64_t days) {
  const std::string state = role.string_or("state"), window = std::to_string(days) + " days";
  if (state == "not_given") return "nobody took it in " + window;
  if (state == "unused") return "given, and nothing of it used in " + window;
  if (state == "too_early") return "not used; observed since " + role.string_or("since") + " only";
  if (state == "unclear") return "given; what of it was used can't be said";
  if (state != "partly_used") return "used";
  std::size_t unused = 0;
  for (const auto& o : items(role, "objects")) unused += o.bool_or("unused", false) ? 1U : 0U;
  return std::to_string(unused) + " of " + std::to_string(items(role, "objects").size()) + " objects not used in " +
         window;
}

std::string policies_of(const json::Value& role) {
  std::string out;
  for (const auto& p : items(role, "policies")) {
    const std::string to = p.string_or("to");
    out += "  policy " + p.string_or("id") + " (" + p.string_or("file") + ":" + std::to_string(p.int_or("line", 0)) +
           ") gives it to " + (to.empty() ? "everybody" : to) +
           (p.bool_or("conditions", false) ? ", under conditions" : "") + "\n";
  }
  return out;
}

std::string objects_of(const json::Value& role) {
  std::string out;
  for (const auto& o : items(role, "objects"))
    if (o.bool_or("unused", false))
      out +=
          "  not used: " + o.string_or("schema") + "." + o.string_or("name") +
          (o.bool_or("writable", false) ? (o.bool_or("readable", false) ? " (read, write)" : " (write)") : " (read)") +
          "\n";
  if (role.bool_or("more_objects", false)) out += "  and more than are listed\n";
  if (const std::string why = role.string_or("objects_unknown"); !why.empty())
    out += "  what it gives is not known: " + why + "\n";
  return out;
}

}  // namespace

int report_unused(Io& io, const Globals& g, int days, bool all) {
  Client client(io, g);
  const auto answer = client.call("GET", "/reports/unused?days=" + std::to_string(days));
  if (!answer.ok()) return fail(io, g, answer.error(), "there is no report", client.request_id());
  if (g.json()) {
    print_json(io, *answer->as_object());
    return Exit::done;
  }
  const auto& roles = items(*answer, "roles");
  std::size_t shown = 0;
  for (const auto& role : roles) {
    if (!all && role.string_or("state") == "used") continue;
    ++shown;
    if (g.output == "name") {
      io.out(role.string_or("role") + "\n");
      continue;
    }
    const std::string last = role.string_or("last_used", role.string_or("last_connected"));
    io.out(role.string_or("role") + ": " + told(role, answer->int_or("days", days)) + "\n  " +
           std::to_string(role.int_or("grants", 0)) + " grants and " + std::to_string(role.int_or("connections", 0)) +
           " connections since " + role.string_or("since") + (last.empty() ? "" : ", last on " + last) + "\n" +
           objects_of(role) + policies_of(role));
    if (const std::string hint = role.string_or("hint"); !hint.empty()) io.out("  -> " + hint + "\n");
  }
  io.err(std::to_string(roles.size()) + " roles, " + std::to_string(shown) + " shown" +
         (all ? "" : "; --all shows those that are used, too") + "\n");
  return Exit::done;
}

}  // namespace daypass::app::cli
