// daypass idp add: asks what can't be discovered, shows what was, and writes DIR/idps/<name>.toml.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/catalog.h"
#include "app/cli/client.h"
#include "app/cli/commands.h"
#include "app/cli/idp_discover.h"
#include "app/cli/idp_presets.h"
#include "base/encoding.h"
#include "config/checks.h"
#include "config/config.h"
#include "idp/printable.h"
#include "net/http_client.h"

namespace daypass::app::cli {

using base::Code;
using base::Error;
using base::Result;
using base::Secret;
using base::Status;
namespace json = base::json;
namespace fs = std::filesystem;
namespace saml = idp::saml;

namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;

Error bad(std::string check, std::string message, std::string hint = {}) {
  return {Code::invalid, "idp_add." + std::move(check), std::move(message), std::move(hint)};
}

std::string trimmed(std::string text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.back())) text.pop_back();
  text.erase(text.begin(), std::ranges::find_if_not(text, space));
  return text;
}

std::string joined(const std::vector<std::string>& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ", ") + idp::printable(one, 80);
  return out.empty() ? "not said" : out;
}

std::string colons(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) out += (i == 0 ? "" : ":") + hex.substr(i, 2);
  return out;
}

/// Lower case, no colons. Error: "idp_add.pin".
Result<std::string> pin_of(const std::string& typed) {
  if (const auto wrong = config::check::fingerprint(typed)) return bad("pin", "--pin " + wrong->predicate, wrong->hint);
  std::string out;
  for (const char c : typed)
    if (c != ':') out += static_cast<char>(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
  return out;
}

/// Writes a file that was not there. Below it nothing is left when that fails. Errors: `check`.
Status write_new(const std::string& path, std::string_view text, mode_t mode, const std::string& check) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0)
    return bad(
        check,
        path + (errno == EEXIST ? " is there already" : std::string(" can't be written: ") + std::strerror(errno)),
        errno == EEXIST ? "nothing is overwritten: take another name, or remove it" : "");
  bool good = true;
  for (std::string_view left = text; good && !left.empty();) {
    const ssize_t n = ::write(fd, left.data(), left.size());
    if (n < 0 && errno == EINTR) continue;
    if ((good = n > 0)) left.remove_prefix(static_cast<std::size_t>(n));
  }
  good = good && ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  if (good) return {};
  ::unlink(path.c_str());
  return bad(check, path + " can't be written: " + std::strerror(why));
}

class Adding {
 public:
  Adding(Io& io, const Globals& g, const IdpAdd& given) : io_(io), given_(given), client_(io, g) {}

  /// What is written down and where, or the first thing that keeps it from being.
  Result<json::Object> run() {
    DP_CHECK(complete());
    DP_CHECK(choose());
    DP_CHECK(find_folder());
    find_address();
    DP_CHECK(idp_.protocol == "saml" ? trust() : find());
    tell("Register Daypass at the provider", to_register(idp_), place());
    if (idp_.protocol == "oidc") DP_CHECK(credentials());
    return write();
  }

 private:
  [[nodiscard]] bool asks() const { return io_.in_is_tty; }

  /// What only flags can say where nobody can be asked: all that is missing at once.
  Status complete() {
    if (asks()) return {};
    std::vector<std::string> missing;
    const auto need = [&](bool there, const char* flag) {
      if (!there) missing.emplace_back(flag);
    };
    const bool saml = given_.protocol.empty() ? given_.preset == "adfs" : given_.protocol == "saml";
    const bool secret = !given_.secret_file.empty() || !given_.secret_ref.empty() || given_.client_auth == "none";
    need(!given_.preset.empty(), "--preset");
    need(!given_.folder.empty(), "--dir");
    if (saml) {
      need(!given_.metadata.empty(), "--metadata");
    } else {
      need(!given_.issuer.empty() || given_.preset == "google", "--issuer");
      need(!given_.client_id.empty(), "--client-id");
      need(secret, "--client-secret-file or --client-secret-ref");
      need(!given_.domain.empty() || given_.preset != "google", "--domain");
    }
    if (missing.empty()) return {};
    std::string list;
    for (const auto& flag : missing) list += (list.empty() ? "" : ", ") + flag;
    return bad("missing", "there is no terminal to ask at, and these are missing: " + list, "daypass idp add --help");
  }

  /// Asks until the answer is good. An empty one is `fallback`.
  Result<std::string> ask(const std::string& question, const std::string& fallback,
                          const std::function<std::optional<std::string>(const std::string&)>& wrong) {
    for (;;) {
      io_.err(question + (fallback.empty() ? "" : " [" + fallback + "]") + ": ");
      const auto line = io_.line();
      if (!line) return bad("ended", "the input ended before everything was said", "nothing was written");
      std::string answer = trimmed(*line);
      if (answer.empty()) answer = fallback;
      const auto complaint = answer.empty() ? std::optional<std::string>("something must be typed") : wrong(answer);
      if (!complaint) return answer;
      io_.err("  " + *complaint + "\n");
    }
  }
  /// Same, when no flag has said it. What a flag says and is wrong is an error.
  Result<std::string> say(const std::string& flag, const std::string& given, const std::string& question,
                          const std::string& fallback,
                          const std::function<std::optional<std::string>(const std::string&)>& wrong) {
    if (given.empty() && asks()) return ask(question, fallback, wrong);
    const std::string value = given.empty() ? fallback : given;
    if (auto complaint = wrong(value)) return bad("option", "--" + flag + " " + *complaint);
    return value;
  }
  static std::function<std::optional<std::string>(const std::string&)> by(config::Check check) {
    return [check](const std::string& text) -> std::optional<std::string> {
      const auto complaint = check(text);
      if (!complaint) return std::nullopt;
      return complaint->predicate + (complaint->hint.empty() ? "" : "; " + complaint->hint);
    };
  }
  static std::function<std::optional<std::string>(const std::string&)> one_of(std::vector<std::string> words) {
    return [words = std::move(words)](const std::string& text) -> std::optional<std::string> {
      if (std::ranges::find(words, text) != words.end()) return std::nullopt;
      std::string list;
      for (const auto& word : words) list += (list.empty() ? "" : ", ") + word;
      return "must be one of " + list;
    };
  }

  Status choose() {
    std::vector<std::string> names;
    std::vector<std::vector<std::string>> rows;
    for (const auto& preset : idp_presets()) {
      names.emplace_back(preset.name);
      rows.push_back({"  " + std::string(preset.name), std::string(preset.title)});
    }
    if (given_.preset.empty()) io_.err("Which product is it?\n" + table(rows));
    DP_TRY(idp_.preset, say("preset", given_.preset, "Preset", "generic", one_of(names)));
    preset_ = idp_preset(idp_.preset);
    DP_TRY(idp_.protocol, say("protocol", given_.protocol, "OpenID Connect (oidc) or SAML 2.0 (saml)",
                              idp_.preset == "adfs" ? "saml" : "oidc", one_of({"oidc", "saml"})));
    DP_TRY(idp_.name,
           say("name", given_.name, "Its name, part of every identity and policy; to change it is to have other users",
               idp_.preset == "generic" ? "corp" : idp_.preset, by(config::check::idp_name)));
    idp_.display =
        given_.display.empty() ? std::string(idp_.preset == "generic" ? idp_.name : preset_->title) : given_.display;
    if (auto wrong = config::check::display(idp_.display)) return bad("option", "--display " + wrong->predicate);
    if (!given_.ca_file.empty()) {
      std::error_code ec;
      idp_.ca_file = fs::absolute(given_.ca_file, ec).lexically_normal().string();
    }
    idp_.allowed_hosts = given_.allowed_hosts;
    idp_.sp_key = given_.sp_key;
    if (!idp_.sp_key.empty())
      if (auto wrong = config::check::secret_ref(idp_.sp_key))
        return bad("option", "--sp-key " + wrong->predicate, wrong->hint);
    return {};
  }

  /// Where it will stand, before anything else is asked: what is there already stays.
  Status find_folder() {
    DP_TRY(folder_, say("dir", given_.folder, "The tenant's folder, as for daypass apply", ".",
                        [](const std::string& text) -> std::optional<std::string> {
                          std::error_code ec;
                          if (fs::is_directory(text, ec)) return std::nullopt;
                          return text + " is no folder";
                        }));
    file_ = (fs::path(folder_) / "idps" / (idp_.name + ".toml")).string();
    std::error_code ec;
    if (fs::symlink_status(file_, ec).type() != fs::file_type::not_found)
      return bad("exists", file_ + " is there already", "nothing is overwritten: --name another, or remove it");
    DP_TRY(files_, config::read_folder(folder_));
    const auto parsed = config::parse_tenant(core::TenantId("default"), files_);
    if (parsed.value.idp(idp_.name) != nullptr)
      return bad("exists", "the folder has an identity provider " + idp_.name + " already", "--name another");
    return {};
  }

  /// The tenant's own address, as the server says it.
  void find_address() {
    const Place& place = client_.place();
    std::string base = place.server + "/t/" + place.tenant;
    const auto told = client_.get("/.well-known/oauth-authorization-server/t/" + place.tenant);
    const std::string issuer = told.ok() && told->status == 200 ? told->body.string_or("issuer") : "";
    if (!issuer.empty())
      base = issuer;
    else
      io_.err("The server does not answer for tenant " + place.tenant + ": its addresses below begin with " + base +
              " because of " + place.origin + ".\n");
    idp_.url = base + "/idp/" + idp_.name;
  }

  [[nodiscard]] std::string place() const {
    return std::string(idp_.protocol == "saml" ? preset_->at_saml : preset_->at_oidc);
  }

  void tell(const std::string& title, const Lines& lines, const std::string& sentence = {}) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [what, value] : lines) rows.push_back({"  " + what, value});
    io_.err(title + ":\n" + (sentence.empty() ? "" : "  " + sentence + "\n") + table(rows));
    json::Object object;
    for (const auto& [what, value] : lines) object.set(what, value);
    document_.set(title.starts_with("Register") ? "register" : "found", std::move(object));
  }

  /// Runs `step` on what is typed; where somebody can be asked again, its error is no end.
  Status until_good(const std::string& given, std::string_view question,
                    const std::function<Status(const std::string&)>& step) {
    if (!given.empty() || question.empty() || !asks()) return step(given);
    for (;;) {
      DP_TRY(const std::string typed,
             ask(std::string(question), "", [](const std::string&) { return std::optional<std::string>(); }));
      const Status done = step(typed);
      if (done.ok()) return {};
      io_.err("  " + done.error().message + " (" + done.error().check + ")\n" +
              (done.error().hint.empty() ? "" : "  " + done.error().hint + "\n"));
    }
  }

  // OpenID Connect: everything but the client is in the discovery document.
  Status find() {
    if (idp_.preset == "google") {
      DP_TRY(idp_.domain, say("domain", given_.domain, "Your Google Workspace domain", "",
                              [](const std::string& text) -> std::optional<std::string> {
                                if (config::is_dns_name(text) && text.find('.') != std::string::npos)
                                  return std::nullopt;
                                return "must be a domain like example.com, in lower case";
                              }));
    }

    DP_CHECK(until_good(given_.issuer, preset_->ask_issuer, [this](const std::string& typed) -> Status {
      NewIdp at = idp_;
      at.issuer = preset_->issuer(typed);
      if (auto wrong = config::check::issuer(at.issuer))
        return bad("issuer", "the issuer " + wrong->predicate, wrong->hint);
      DP_TRY(found_, discover(fetch_, at));
      return {};
    }));
    idp_.issuer = found_.discovery.issuer;
    idp_.scopes = found_.scopes;
    const auto& d = found_.discovery;
    tell("Found", {{"Issuer", d.issuer},
                   {"Sign-in", idp::printable(d.authorization_endpoint, 200)},
                   {"Tokens", idp::printable(d.token_endpoint, 200)},
                   {"Keys", idp::printable(d.jwks_uri, 200)},
                   {"ID tokens are signed with", joined(found_.algorithms)},
                   {"The client may prove itself by", joined(d.client_auth_methods)},
                   {"Back-channel logout", found_.backchannel_logout ? "yes" : "not said"}});
    return {};
  }

  // SAML: the metadata says everything; who vouches for it is asked.
  Status trust() {
    for (const auto& typed : given_.pins) {
      DP_TRY(std::string pin, pin_of(typed));
      idp_.pins.push_back(std::move(pin));
    }
    saml::IdpMetadata metadata;
    DP_CHECK(until_good(given_.metadata, preset_->ask_metadata, [&](const std::string& typed) -> Status {
      NewIdp at = idp_;
      at.metadata = preset_->metadata(typed);
      if (!at.metadata.starts_with("http://") && !at.metadata.starts_with("https://")) {
        std::error_code ec;
        const std::string path = at.metadata.starts_with("file:") ? at.metadata.substr(5) : at.metadata;
        at.metadata = "file:" + fs::absolute(path, ec).lexically_normal().string();
      } else if (auto wrong = config::check::metadata(at.metadata)) {
        return bad("metadata", "the metadata's address " + wrong->predicate, wrong->hint);
      }
      at.issuer.clear();
      DP_TRY(metadata, read_metadata(fetch_, *io_.clock, at));
      idp_.metadata = at.metadata;
      return {};
    }));
    idp_.issuer = metadata.entity_id;
    Lines lines{{"Entity ID", idp::printable(metadata.entity_id, 200)}};
    for (const auto& endpoint : metadata.sign_on)
      lines.emplace_back("Sign-in by " + endpoint.binding.substr(endpoint.binding.rfind(':') + 1),
                         idp::printable(endpoint.location, 200));
    for (const auto& endpoint : metadata.logout)
      lines.emplace_back("Logout by " + endpoint.binding.substr(endpoint.binding.rfind(':') + 1),
                         idp::printable(endpoint.location, 200));
    for (const auto& certificate : metadata.signing)
      lines.emplace_back("Signing certificate until " + base::to_rfc3339(certificate.not_after()).substr(0, 10),
                         "SHA-256 " + colons(certificate.sha256()));
    if (metadata.valid_until) lines.emplace_back("Metadata valid until", base::to_rfc3339(*metadata.valid_until));
    lines.emplace_back("Wants signed requests", metadata.wants_signed_requests ? "yes" : "no");
    tell("Found", lines);
    if (metadata.wants_signed_requests && idp_.sp_key.empty())
      io_.err(
          "It takes signed requests only: make a key with\n  openssl req -x509 -newkey rsa:3072 -nodes -days 1825 "
          "-subj "
          "/CN=daypass -keyout sp.key -out sp.crt && cat sp.key sp.crt > sp.pem\nand say --sp-key "
          "file:/path/of/sp.pem.\n");
    // Whoever answers for an address would otherwise choose the keys that are believed.
    if (idp_.metadata.starts_with("file:") || !idp_.pins.empty()) return {};
    std::vector<std::string> pins;
    for (const auto& certificate : metadata.signing) pins.push_back(certificate.sha256());
    if (!asks()) {
      std::string flags;
      for (const auto& pin : pins) flags += " --pin " + pin;
      return bad("pin_missing", "nothing vouches for metadata that comes from a URL",
                 "compare the fingerprints with the provider's own page, then say" + flags);
    }
    DP_TRY(const std::string answer,
           ask("Does the provider's own administration page show the same fingerprints? Only these will be believed "
               "(yes/no)",
               "no", one_of({"yes", "no"})));
    if (answer != "yes")
      return bad("pin_refused", "the certificates were not confirmed, so nothing was written",
                 "download the metadata over a way that you trust, and give the file");
    idp_.pins = std::move(pins);
    return {};
  }

  Status credentials() {
    DP_TRY(idp_.client_id,
           say("client-id", given_.client_id, "Client ID, as the provider shows it", "", by(config::check::client_id)));
    idp_.client_auth = client_auth_for(found_.discovery);
    constexpr std::string_view words[] = {"basic", "post", "private_key_jwt", "none"};
    if (!given_.client_auth.empty()) {
      const auto at = std::ranges::find(words, given_.client_auth);
      if (at == std::end(words)) return bad("option", "--client-auth must be basic, post, private_key_jwt or none");
      idp_.client_auth = static_cast<core::ClientAuth>(at - std::begin(words));
    }
    if (idp_.client_auth == core::ClientAuth::none) return {};
    if (!given_.secret_ref.empty()) {
      if (auto wrong = config::check::secret_ref(given_.secret_ref))
        return bad("option", "--client-secret-ref " + wrong->predicate, wrong->hint);
      idp_.client_secret = given_.secret_ref;
      return {};
    }
    if (!given_.secret_file.empty() && given_.secret_file != "-") return refer_to(given_.secret_file);
    DP_CHECK(find_secret_path());
    if (given_.secret_file == "-") {
      auto line = io_.line();
      secret_ = line ? Secret::take(std::move(*line)) : Secret();
    } else {
      if (idp_.client_auth == core::ClientAuth::private_key_jwt)
        return bad("key", "this provider takes private_key_jwt only", "--client-secret-file FILE, the PEM private key");
      auto typed = io_.hidden("Client secret (not shown, kept in " + secret_path_ + "): ");
      secret_ = typed ? std::move(*typed) : Secret();
    }
    if (secret_.empty()) return bad("secret", "no client secret was given", "nothing was written");
    if (config::has_control(secret_.reveal()))
      return bad("secret", "the client secret holds a control character", "copy it again; nothing was written");
    idp_.client_secret = "file:" + secret_path_;
    return {};
  }

  /// A file that is there already stays where it is.
  Status refer_to(const std::string& file) {
    std::error_code ec;
    const std::string path = fs::absolute(file, ec).lexically_normal().string();
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0)
      return bad("secret_file", path + ": " + std::strerror(errno),
                 "a file on the server that is not here is named by --client-secret-ref file:/path");
    if (!S_ISREG(info.st_mode) || info.st_size == 0)
      return bad("secret_file", path + " is no file with a secret in it");
    if ((info.st_mode & 0007) != 0) return bad("secret_file", path + " can be read by everybody", "chmod 600 " + path);
    idp_.client_secret = "file:" + path;
    return {};
  }

  /// Beside the operator's socket is where the tenant's secrets are; elsewhere nobody knows but the user.
  Status find_secret_path() {
    const Place& place = client_.place();
    std::string standard;
    if (client_.by_socket()) {
      std::error_code ec;
      const fs::path data = fs::absolute(place.socket, ec).lexically_normal().parent_path();
      standard = (data / "secrets" / place.tenant / (idp_.name + ".secret")).string();
    }
    if (standard.empty() && given_.secret_at.empty() && !asks())
      return bad("secret_at", "it is not known where the server's secrets are",
                 "--secret-at PATH says where to keep it; over the operator's socket it is known");
    DP_TRY(secret_path_,
           say("secret-at", given_.secret_at,
               "Where to keep the client secret, on the server (" + ("<data_dir>/secrets/" + place.tenant) + "/…)",
               standard, by(config::check::absolute_path)));
    own_folder_ = secret_path_ == standard;
    if (::access(secret_path_.c_str(), F_OK) == 0)
      return bad("secret_exists", secret_path_ + " is there already",
                 "nothing is overwritten: --client-secret-file uses it, --secret-at names another");
    return {};
  }

  /// As the server's user, so that it can read what it is given.
  Status keep_secret() {
    if (secret_.empty()) return {};
    std::vector<std::string> made;
    if (own_folder_) {
      const fs::path folder = fs::path(secret_path_).parent_path();
      for (const auto& path : {folder.parent_path().string(), folder.string()})
        if (::mkdir(path.c_str(), 0700) == 0)
          made.push_back(path);
        else if (errno != EEXIST)
          return bad("secret_folder", path + " can't be made: " + std::strerror(errno),
                     "--secret-at PATH names another");
    }
    DP_CHECK(write_new(secret_path_, secret_.reveal(), 0600, "secret_file"));
    made.push_back(secret_path_);
    struct stat data{};
    if (own_folder_ && ::geteuid() == 0 &&
        ::stat(fs::path(secret_path_).parent_path().parent_path().parent_path().c_str(), &data) == 0)
      for (const auto& path : made)
        if (::lchown(path.c_str(), data.st_uid, data.st_gid) != 0)
          io_.err("warning: " + path + " could not be given to the server's user: " + std::strerror(errno) + "\n");
    return {};
  }

  Result<json::Object> write() {
    const std::string text = toml_of(idp_);
    const std::string name = "idps/" + idp_.name + ".toml";
    auto files = files_;
    files[name] = text;
    const auto before = config::parse_tenant(core::TenantId("default"), files_);
    const auto after = config::parse_tenant(core::TenantId("default"), files);
    for (const auto& problem : after.problems) {
      if (std::ranges::find(before.problems, problem) != before.problems.end()) continue;
      return bad("written_wrong", problem.render(), "nothing was written");
    }
    DP_CHECK(keep_secret());
    const auto give_up = [&](Status status) -> Error {
      if (!secret_.empty()) ::unlink(secret_path_.c_str());
      return status.error();
    };
    const std::string folder = fs::path(file_).parent_path().string();
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST)
      return give_up(bad("folder", folder + " can't be made: " + std::strerror(errno)));
    if (Status written = write_new(file_, text, 0644, "exists"); !written.ok()) return give_up(std::move(written));
    json::Object out{{"file", file_}, {"name", idp_.name}, {"protocol", idp_.protocol}, {"issuer", idp_.issuer}};
    if (!idp_.client_secret.empty()) out.set("client_secret", idp_.client_secret);
    for (const auto& [key, value] : document_) out.set(key, value);
    out.set("next", json::Array{"daypass idp test " + idp_.name + " --dir " + folder_, "daypass apply " + folder_});
    return out;
  }

  Io& io_;
  const IdpAdd& given_;
  Client client_;
  net::HttpClient http_;
  idp::Fetch fetch_ = guarded(http_);
  const IdpPreset* preset_ = nullptr;
  NewIdp idp_;
  FoundOidc found_;
  std::string folder_, file_, secret_path_;
  std::map<std::string, std::string> files_;
  Secret secret_;
  bool own_folder_ = false;  ///< the tenant's own, which is made when it is not there
  json::Object document_;
};

}  // namespace

int idp_add(Io& io, const Globals& g, const IdpAdd& given) {
  Adding adding(io, g, given);
  const auto done = adding.run();
  if (!done.ok()) {
    const int code = fail(io, g, done.error(), "no identity provider was added");
    return done.error().check.starts_with("idp_add.") ? Exit::usage : code;
  }
  if (g.json()) {
    print_json(io, *done);
    return Exit::done;
  }
  const json::Value value(*done);
  io.out(value.string_or("file") + "\n");
  std::string next;
  for (const auto& command : items(value, "next"))
    next += (next.empty() ? "Next: " : "then  ") + text_of(command) + "\n";
  io.err(next);
  return Exit::done;
}

}  // namespace daypass::app::cli
