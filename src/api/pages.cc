#include "api/pages.h"

#include "base/encoding.h"
#include "crypto/digest.h"

namespace daypass::api {

using net::html_escape;

namespace {

constexpr std::string_view style =
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:12vh auto;max-width:34rem;padding:0 "
    "1.5rem}"
    "h1{font-size:1.4rem}a.idp,button{display:inline-block;padding:.6rem 1.1rem;margin:.3rem .5rem .3rem 0;border:1px "
    "solid;"
    "border-radius:.5rem;background:none;color:inherit;text-decoration:none;font:inherit;cursor:pointer}"
    "a.idp:focus,button:focus,input:focus{outline:3px solid "
    "Highlight}input{font:inherit;padding:.5rem;letter-spacing:.15em}"
    "code{background:rgba(127,127,127,.18);padding:.1em .35em;border-radius:.25em}.quiet{opacity:.75;font-size:.9rem}";

constexpr std::string_view go_on = "document.forms[0].submit()";

// A policy of hashes: no other style or script can run, whoever manages to write into a page.
std::string hash_of(std::string_view text) {
  return "'sha256-" + base::base64_encode(crypto::sha256(text)) + "'";
}

std::string html_page(std::string_view title, std::string_view body) {
  std::string html =
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>";
  html += html_escape(title);
  html += " · Daypass</title><style>";
  html += style;
  html += "</style></head><body><main><h1>";
  html += html_escape(title);
  html += "</h1>";
  html += body;
  return html + "</main></body></html>\n";
}

}  // namespace

net::HttpResponse page(int status, std::string_view title, std::string_view body) {
  static const std::string csp =
      "default-src 'none'; style-src " + hash_of(style) + "; frame-ancestors 'none'; base-uri 'none'";
  return net::HttpResponse::html(status, html_page(title, body), csp);
}

net::HttpResponse posting_page(std::string_view title, std::string_view sentence, const std::string& url,
                               const std::vector<std::pair<std::string, std::string>>& fields) {
  static const std::string csp = "default-src 'none'; style-src " + hash_of(style) + "; script-src " + hash_of(go_on) +
                                 "; frame-ancestors 'none'; base-uri 'none'";
  std::string body = "<form method=\"post\" action=\"" + html_escape(url) + "\">";
  for (const auto& [name, value] : fields)
    body += "<input type=\"hidden\" name=\"" + html_escape(name) + "\" value=\"" + html_escape(value) + "\">";
  body += "<p>" + html_escape(sentence) + "</p><p><button>Continue</button></p></form><script>";
  body += go_on;
  return net::HttpResponse::html(200, html_page(title, body + "</script>"), csp);
}

std::string chooser_body(const engine::Tenant& tenant, const net::HttpRequest& request,
                         const std::optional<std::string>& suggested) {
  net::Pairs kept = request.query;
  std::erase_if(kept, [](const auto& field) { return field.first == "hint" || field.first == "idp"; });
  std::string first;
  std::string all;
  bool domains = false;
  for (const auto& idp : tenant.spec.idps) {
    domains = domains || !idp.domains.empty();
    net::Pairs query = kept;
    query.emplace_back("idp", idp.name);
    const std::string link = "<a class=\"idp\" href=\"?" + html_escape(net::encode_query(query)) + "\">" +
                             html_escape(idp.display.empty() ? idp.name : idp.display) + "</a>";
    if (suggested == idp.name) first = "<p>People of that domain sign in at</p><p>" + link + "</p><p>Others:</p>";
    all += link;
  }
  std::string out = first + "<p>" + all + "</p>";
  if (!domains) return out;
  out += "<form method=\"get\">";
  for (const auto& [name, value] : kept)
    out += "<input type=\"hidden\" name=\"" + html_escape(name) + "\" value=\"" + html_escape(value) + "\">";
  return out +
         "<p><label>Or your e-mail address, or its domain: <input name=\"hint\" maxlength=\"320\" "
         "autocomplete=\"email\" "
         "required></label> <button>Find mine</button></p></form>";
}

std::string device_body(const engine::Tenant* tenant, std::string_view user_code) {
  std::string out =
      "<p>Type the code that <code>daypass login --device</code> shows. Go on only if you started that sign-in "
      "yourself: "
      "whoever sent you a code gets in with your name.</p><form method=\"post\" action=\"device\"><p><label>Code "
      "<input name=\"user_code\" autocomplete=\"off\" autocapitalize=\"characters\" required maxlength=\"9\" value=\"";
  out += html_escape(user_code);
  out += "\"></label></p><p>";
  if (tenant != nullptr)
    for (const auto& idp : tenant->spec.idps)
      out += "<button name=\"idp\" value=\"" + html_escape(idp.name) + "\">Sign in at " +
             html_escape(idp.display.empty() ? idp.name : idp.display) + "</button>";
  return out + "</p></form>";
}

std::string confirm_body(const engine::LoginFinished& who, std::string_view provider, std::string_view tenant,
                         const std::string& action) {
  return "<p><b>" + html_escape(who.display) + "</b> (<code>" + html_escape(who.principal) + "</code>) at <b>" +
         html_escape(provider) + "</b> wants to sign you in to Daypass (tenant <code>" + html_escape(tenant) +
         "</code>).</p><p>This began at your identity provider. To go on, run <code>daypass login --device</code> in "
         "your own terminal and type the code that it shows: that terminal is then signed in with this name. Whoever "
         "sent you a code gets in with it, so take none from anybody. If you did not want this, close the window; "
         "nothing has happened.</p><form method=\"post\" action=\"" +
         html_escape(action) +
         "\"><p><label>Code <input name=\"user_code\" autocomplete=\"off\" autocapitalize=\"characters\" required "
         "maxlength=\"9\"></label></p><p><button>Sign in</button></p></form>";
}

std::string failure_body(const base::Error& error, std::string_view request_id) {
  std::string out = "<p>" + html_escape(error.message) + ".</p>";
  if (!error.hint.empty()) out += "<p>What to do: <code>" + html_escape(error.hint) + "</code></p>";
  return out + "<p class=\"quiet\">Check <code>" + html_escape(error.check) + "</code>, request <code>" +
         html_escape(request_id) + "</code></p>";
}

}  // namespace daypass::api
