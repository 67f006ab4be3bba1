// Policies as a server decides by them: why and why not, what others would change, what they can speak of.
#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "config/config.h"
#include "engine/schema.h"
#include "net/http.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
namespace json = base::json;

namespace {

std::string joined(const json::Array& list) {
  std::string out;
  for (const auto& item : list)
    if (item.as_string() != nullptr) out += (out.empty() ? "" : ", ") + *item.as_string();
  return out;
}

std::string part_line(const json::Value& part, const std::string& indent) {
  const std::string outcome = part.string_or("outcome");
  const char* mark = outcome == "held" ? "✓" : outcome == "failed" ? "✗" : outcome == "not_reached" ? "·" : "!";
  return indent + mark + " " + part.string_or("part") +
         (part.string_or("text").empty() ? "" : "  " + part.string_or("text")) +
         (part.string_or("error").empty() ? "" : "  — " + part.string_or("error")) + "\n";
}

}  // namespace

int policy_explain(Io& io, const Globals& g, const std::string& user, const std::string& role, const std::string& at) {
  Client client(io, g);
  net::Pairs query{{"role", role}};
  if (!user.empty()) query.emplace_back("principal", user);
  if (!at.empty()) query.emplace_back("at", at);
  const auto answer = client.call("GET", "/explain?" + net::encode_query(query));
  if (!answer.ok()) return fail(io, g, answer.error(), "no explanation", client.request_id());
  if (g.json()) {
    print_json(io, {{"explanation", *answer}});
    return Exit::done;
  }
  std::string out = answer->string_or("principal") +
                    (answer->string_or("verdict") == "allow" ? " may have " : " may not have ") +
                    answer->string_or("role") + ": " + answer->string_or("why") + "\n";
  if (!answer->string_or("ask").empty()) out += answer->string_or("ask") + "\n";
  for (const auto& policy : items(*answer, "policies")) {
    out += "\n" + policy.string_or("effect") + " " + policy.string_or("policy") + " (" + policy.string_or("outcome") +
           ")" + (policy.string_or("place").empty() ? "" : "  " + policy.string_or("place")) + "\n";
    for (const auto& part : items(policy, "parts")) {
      out += part_line(part, "  ");
      for (const auto& term : items(part, "terms")) out += part_line(term, "      ");
    }
  }
  if (const json::Value* flip = answer->find("flip")) {
    out += "\nIt would be " + std::string(flip->string_or("verdict") == "allow" ? "allowed" : "denied") + " with:\n";
    for (const auto& change : items(*flip, "changes"))
      out += "  " + change.string_or("fact") + ": " + change.string_or("would_be") + " (now " +
             change.string_or("now") + ")\n";
  }
  io.out(out);
  return Exit::done;
}

namespace {

void show_simulated(Io& io, const json::Value& simulated) {
  std::string out;
  for (const auto& shift : items(simulated, "shifts")) {
    const bool allowed = shift.string_or("verdict") == "allow";
    out += std::string(allowed ? "newly allowed  " : "newly denied   ") + shift.string_or("at") + "  " +
           shift.string_or("principal") + "  " + shift.string_or("role") + "  (" + joined(items(shift, "policies")) +
           ")\n";
  }
  for (const auto& one : items(simulated, "unchanged_by"))
    out += "unchanged      " + std::to_string(one.int_or("decisions", 0)) + " by " + one.string_or("policies") + "\n";
  io.out(out + std::to_string(simulated.int_or("newly_allowed", 0)) + " newly allowed, " +
         std::to_string(simulated.int_or("newly_denied", 0)) + " newly denied, " +
         std::to_string(simulated.int_or("unchanged", 0)) + " unchanged\n");
  if (const auto n = simulated.int_or("unreadable", 0); n != 0)
    io.err("warning: " + std::to_string(n) + " decision records can't be read\n");
  if (!simulated.bool_or("complete", true))
    io.err("warning: there are more records than were replayed (" + std::to_string(simulated.int_or("records", 0)) +
           ")\n");
  if (items(simulated, "shifts").size() <
      static_cast<std::size_t>(simulated.int_or("newly_allowed", 0) + simulated.int_or("newly_denied", 0)))
    io.err("Only the first changes are listed.\n");
}

}  // namespace

int policy_simulate(Io& io, const Globals& g, const std::string& folder) {
  const auto files = read_tenant_folder(folder);
  if (!files.ok()) return (void)fail(io, g, files.error(), folder + " can't be simulated"), int{Exit::usage};
  Client client(io, g);
  json::Object texts;
  for (const auto& [name, text] : *files) texts.set(name, text);
  const json::Value body(json::Object{{"files", std::move(texts)}});
  const auto answer = client.call("POST", "/policy/simulate", &body, std::chrono::seconds(90));
  if (!answer.ok()) return fail(io, g, answer.error(), folder + " can't be simulated", client.request_id());
  const json::Array& problems = items(*answer, "problems");
  // Else an answer that says nothing would be "nothing changes".
  if (problems.empty() && (answer->find("newly_allowed") == nullptr || answer->find("newly_denied") == nullptr))
    return fail(io, g, {Code::internal, "simulate.answer", "the answer holds no outcome", "is that a Daypass server?"},
                folder + " can't be simulated", client.request_id());
  if (g.json()) print_json(io, *answer->as_object());
  for (const auto& p : problems) io.err(p.string_or("text") + "\n");
  for (const auto& w : items(*answer, "warnings")) io.err("warning: " + text_of(w) + "\n");
  if (!problems.empty()) {
    io.err("Nothing was replayed: " + std::to_string(problems.size()) + " problems.\n");
    return Exit::usage;
  }
  if (!g.json()) show_simulated(io, *answer);
  const bool changed = answer->int_or("newly_allowed", 0) != 0 || answer->int_or("newly_denied", 0) != 0;
  return changed ? Exit::failed : Exit::done;
}

namespace {

int show_schema(Io& io, const Globals& g, bool as_json, const std::string& text, const json::Value& schema) {
  if (g.json())
    print_json(io, {{"text", text}, {"schema", schema}});
  else
    io.out(as_json ? json::dump_pretty(schema) + "\n" : text);
  return Exit::done;
}

}  // namespace

int policy_schema(Io& io, const Globals& g, const std::string& folder, bool as_json) {
  if (folder.empty()) {
    Client client(io, g);
    const auto answer = client.call("GET", "/policy/schema");
    if (!answer.ok()) return fail(io, g, answer.error(), "the schema can't be had", client.request_id());
    const json::Value* schema = answer->find("schema");
    if (schema == nullptr || schema->as_object() == nullptr || answer->string_or("text").empty())
      return fail(io, g, {Code::internal, "schema.answer", "the answer holds no schema", "is that a Daypass server?"},
                  "the schema can't be had", client.request_id());
    return show_schema(io, g, as_json, answer->string_or("text"), *schema);
  }
  const auto files = read_tenant_folder(folder);
  if (!files.ok()) return (void)fail(io, g, files.error(), folder + " has no schema"), int{Exit::usage};
  auto parsed = config::parse_tenant(core::TenantId("default"), *files);
  engine::TenantSchema schema;
  if (parsed.ok()) schema = engine::tenant_schema(parsed.value);
  const auto& problems = parsed.ok() ? schema.problems : parsed.problems;
  if (problems.empty()) return show_schema(io, g, as_json, schema.text, schema.schema.to_json());
  if (!g.json())
    for (const auto& p : problems) io.err(p.render() + "\n");
  const auto& first = problems.front();
  return (void)fail(io, g, {Code::invalid, "policy.schema", first.render(), ""}, folder + " has no schema"),
         int{Exit::usage};
}

}  // namespace daypass::app::cli
