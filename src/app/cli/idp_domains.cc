// daypass idp domains: which domains lead to which identity provider, and what proves them.
#include "app/cli/client.h"
#include "app/cli/commands.h"

namespace daypass::app::cli {

int idp_domains(Io& io, const Globals& g, bool check) {
  Client client(io, g);
  const auto answer = check ? client.call("POST", "/domains/check") : client.call("GET", "/domains");
  if (!answer.ok()) return fail(io, g, answer.error(), "domains can't be listed", client.request_id());
  std::vector<std::vector<std::string>> rows{{"DOMAIN", "PROVIDER", "STATE", "HOLDS", "TXT RECORD", "VALUE"}};
  std::string reasons;
  bool all = true;
  for (const auto& d : items(*answer, "domains")) {
    const auto holds = base::parse_rfc3339(d.string_or("holds_until"));
    all = all && d.string_or("state") == "proven";
    rows.push_back({d.string_or("domain"), d.string_or("idp"), d.string_or("state"),
                    holds.ok() ? relative(*holds, io.clock->wall()) : "", d.string_or("record"), d.string_or("value")});
    if (!d.string_or("why").empty()) reasons += d.string_or("domain") + ": " + d.string_or("why") + "\n";
  }
  if (g.json()) {
    print_json(io, *answer->as_object());
  } else if (g.output == "name") {
    for (std::size_t i = 1; i < rows.size(); ++i) io.out(rows[i][0] + "\n");
  } else {
    io.out(table(rows));
    io.err(reasons);
  }
  return all ? Exit::done : Exit::failed;
}

}  // namespace daypass::app::cli
