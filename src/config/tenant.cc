#include <algorithm>
#include <map>

#include "base/encoding.h"
#include "config/tenant_keys.h"

namespace daypass::config {
namespace {

struct Source {
  std::string file;
  Place place;
  [[nodiscard]] std::string str() const { return file + ":" + std::to_string(place.line); }
};

class TenantParser {
 public:
  TenantParser(core::TenantSpec& out, Sink& sink) : out_(out), sink_(sink) {}

  void file(const std::string& name, const std::string& text) {
    auto parsed = parse_toml(text, name);
    if (!parsed.ok()) {
      sink_.add_all(std::move(parsed.problems));
      complete_ = false;
      return;
    }
    Reader r(name, sink_);
    constexpr auto known = std::to_array<std::string_view>({"idp", "target", "role", "forward"});
    for (const auto& [key, place, value] : parsed.value.entries) {
      if (std::find(known.begin(), known.end(), key) == known.end())
        r.problem(place, "unknown key " + shown(key), did_you_mean(key, known));
      else if (value.kind != Node::Kind::array)
        r.problem(place, shown(key) + " must be a list of tables", "write [[" + key + "]], with two brackets");
      else if (key == "idp")
        each(r, key, value, max_idps, [&](const Node& t) { idp(r, t); });
      else if (key == "target")
        each(r, key, value, max_targets, [&](const Node& t) { target(r, t); });
      else if (key == "role")
        each(r, key, value, max_roles, [&](const Node& t) { role(r, t); });
      else
        each(r, key, value, max_forwards, [&](const Node& t) { forward(r, t); });
    }
  }

  // What only all files together can show.
  void judge() {
    // A file that could not be read may define what seems to be missing.
    if (!complete_) return;
    std::vector<std::string> names;
    for (const auto& target : out_.targets) names.push_back(target.id.str());
    const std::vector<std::string_view> known(names.begin(), names.end());
    for (const auto& role : out_.roles) {
      const core::TargetId target = core::target_of(role.id);
      if (std::find(known.begin(), known.end(), target.str()) != known.end()) continue;
      const Source& at = roles_.at(role.id.str());
      sink_.add({at.file, at.place.line, at.place.column,
                 "role " + shown(role.id.str()) + " is on the target " + shown(target.str()) + ", which does not exist",
                 known.size() > 200 ? "" : did_you_mean(target.str(), known)});
    }
  }

 private:
  template <class Each>
  void each(Reader& r, const std::string& key, const Node& list, std::size_t most, Each read) {
    std::size_t& count = counts_[key];
    for (const auto& item : list.items) {
      if (item.kind != Node::Kind::table) {
        r.problem(item.place,
                  shown(key) + " must be a list of tables, and one entry is " + std::string(to_string(item.kind)),
                  "write [[" + key + "]]");
        continue;
      }
      if (++count > most) {
        r.problem(item.place, "there are more than " + std::to_string(most) + " [[" + key + "]]", {});
        return;
      }
      read(item);
    }
  }

  // The first one keeps the name. False when `name` is taken, or was broken and is reported already.
  static bool claim(Reader& r, const Node& table, const std::string& what, const std::string& name,
                    std::map<std::string, Source>& taken) {
    if (name.empty()) return false;
    const Entry* entry = table.find("name");
    const Place at = entry == nullptr ? table.place : entry->value.place;
    const auto [first, fresh] = taken.emplace(name, Source{r.file(), at});
    if (!fresh)
      r.problem(at, "there is a second " + what + " " + shown(name), "the first is at " + first->second.str());
    return fresh;
  }

  void idp(Reader& r, const Node& table) {
    auto spec = read_idp(r, table);
    if (!claim(r, table, "idp", spec.name, idps_)) return;
    // One domain leads to one provider; the first keeps it.
    const Entry* entry = table.find("domains");
    for (std::size_t i = 0; i < spec.domains.size(); ++i) {
      const Place at = i < entry->value.items.size() ? entry->value.items[i].place : entry->value.place;
      const auto [first, fresh] = domains_.emplace(spec.domains[i], Source{r.file(), at});
      if (!fresh)
        r.problem(at, "there is a second domain " + shown(spec.domains[i]), "the first is at " + first->second.str());
    }
    out_.idps.push_back(std::move(spec));
  }
  void target(Reader& r, const Node& table) {
    auto spec = read_target(r, table);
    if (spec.id.empty()) complete_ = false;
    if (claim(r, table, "target", spec.id.str(), targets_)) out_.targets.push_back(std::move(spec));
  }
  void role(Reader& r, const Node& table) {
    auto spec = read_role(r, table);
    if (claim(r, table, "role", spec.id.str(), roles_)) out_.roles.push_back(std::move(spec));
  }
  void forward(Reader& r, const Node& table) {
    auto spec = read_forward(r, table);
    if (claim(r, table, "forward", spec.name, forwards_)) out_.forwards.push_back(std::move(spec));
  }

  core::TenantSpec& out_;
  Sink& sink_;
  std::map<std::string, std::size_t> counts_;
  std::map<std::string, Source> idps_, targets_, roles_, domains_, forwards_;
  bool complete_ = true;
};

enum class FileKind { toml, policy, ignored, misplaced, unprintable };

// Nothing that looks like a policy or a table may be passed over in silence: it could hold a forbid.
FileKind kind_of(std::string_view name) {
  if (name.size() > 255 || !base::is_utf8(name) || has_control(name)) return FileKind::unprintable;
  if (name.starts_with('.') || name.find("/.") != std::string_view::npos) return FileKind::ignored;
  const bool nested = name.find('/') != std::string_view::npos;
  if (name.starts_with("policies/")) {
    const bool deeper = name.find('/', 9) != std::string_view::npos;
    if (!deeper && name.ends_with(".cedar")) return FileKind::policy;
    return name.ends_with(".md") ? FileKind::ignored : FileKind::misplaced;
  }
  if (name.starts_with("idps/")) {
    const bool deeper = name.find('/', 5) != std::string_view::npos;
    if (deeper) return FileKind::misplaced;
    if (name.ends_with(".toml")) return FileKind::toml;
  }
  if (!nested && name.ends_with(".toml")) return FileKind::toml;
  const std::string small = lower(name);
  return small.ends_with(".toml") || small.ends_with(".cedar") ? FileKind::misplaced : FileKind::ignored;
}

bool sizes_fit(const std::map<std::string, std::string>& files, Sink& sink) {
  if (files.size() > max_files) {
    sink.add({{},
              0,
              0,
              "the folder has " + std::to_string(files.size()) + " files, more than " + std::to_string(max_files),
              {}});
    return false;
  }
  std::size_t total = 0;
  for (const auto& [name, text] : files) total += text.size();
  if (total <= max_folder_bytes) return true;
  sink.add({{},
            0,
            0,
            "the folder has " + std::to_string(total) + " bytes, more than " + std::to_string(max_folder_bytes),
            {}});
  return false;
}

void collect_policy(const std::string& name, const std::string& text, core::TenantSpec& out, Sink& sink) {
  if (text.size() > max_file_bytes)
    sink.add({name, 0, 0,
              "the file has " + std::to_string(text.size()) + " bytes, more than the " +
                  std::to_string(max_file_bytes) + " that are read",
              "split it"});
  else if (!base::is_utf8(text))
    sink.add({name, 0, 0, "the file is not UTF-8", "save it as UTF-8"});
  else
    out.policies.push_back({name, text});
}

}  // namespace

Parsed<core::TenantSpec> parse_tenant(const core::TenantId& tenant, const std::map<std::string, std::string>& files) {
  Parsed<core::TenantSpec> out;
  out.value.tenant = tenant;
  Sink sink;
  TenantParser parser(out.value, sink);
  bool any = false;
  if (sizes_fit(files, sink)) {
    for (const auto& [name, text] : files) {
      switch (kind_of(name)) {
        case FileKind::toml:
          any = true;
          parser.file(name, text);
          break;
        case FileKind::policy:
          collect_policy(name, text, out.value, sink);
          break;
        case FileKind::misplaced:
          sink.add({name, 0, 0, "the file is not read",
                    "tables belong into *.toml in the folder itself or in idps/, policies into policies/*.cedar"});
          break;
        case FileKind::unprintable:
          sink.add({{}, 0, 0, "a file's name is too long or holds characters that can't be shown", "rename it"});
          break;
        case FileKind::ignored:
          break;
      }
    }
    if (!any) sink.add({"tenant.toml", 0, 0, "there is no *.toml file in the folder", "start from examples/tenant"});
    parser.judge();
  }
  out.problems = sink.take();
  return out;
}

}  // namespace daypass::config
