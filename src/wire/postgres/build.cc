#include "wire/postgres/build.h"

#include "base/assert.h"

namespace daypass::wire::postgres {

namespace {

void put_u32(std::string& out, std::uint32_t v) {
  out.push_back(static_cast<char>(v >> 24U));
  out.push_back(static_cast<char>((v >> 16U) & 0xffU));
  out.push_back(static_cast<char>((v >> 8U) & 0xffU));
  out.push_back(static_cast<char>(v & 0xffU));
}

void put_cstring(std::string& out, std::string_view s) {
  out.append(s.substr(0, s.find('\0')));
  out.push_back('\0');
}

// Writes type and length around what is appended while it lives.
class Open {
 public:
  Open(std::string& out, char type) : out_(out) {
    out_.push_back(type);
    start_ = out_.size();
    put_u32(out_, 0);
  }
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;
  ~Open() {
    const std::size_t length = out_.size() - start_;
    for (unsigned i = 0; i < 4; ++i) out_[start_ + i] = static_cast<char>((length >> (24U - 8U * i)) & 0xffU);
  }

 private:
  std::string& out_;
  std::size_t start_;
};

void append_report(std::string& out, char type, const Report& report) {
  DP_ASSERT(report.sqlstate.size() == 5);
  const Open open(out, type);
  const auto field = [&](char code, std::string_view value) {
    if (value.empty()) return;
    out.push_back(code);
    put_cstring(out, value);
  };
  field('S', report.severity);
  field('V', report.severity);
  field('C', report.sqlstate);
  // Every report has a message, even an empty one: clients expect the field.
  out.push_back('M');
  put_cstring(out, report.message);
  field('D', report.detail);
  field('H', report.hint);
  out.push_back('\0');
}

void append_authentication(std::string& out, std::uint32_t code, std::string_view data) {
  const Open open(out, 'R');
  put_u32(out, code);
  out.append(data);
}

}  // namespace

void append_error_response(std::string& out, const Report& report) {
  append_report(out, 'E', report);
}
void append_notice_response(std::string& out, const Report& report) {
  append_report(out, 'N', report);
}

void append_authentication_ok(std::string& out) {
  append_authentication(out, 0, {});
}

void append_authentication_sasl(std::string& out, std::initializer_list<std::string_view> mechanisms) {
  std::string list;
  for (const std::string_view mechanism : mechanisms) put_cstring(list, mechanism);
  list.push_back('\0');
  append_authentication(out, 10, list);
}

void append_authentication_sasl_continue(std::string& out, std::string_view data) {
  append_authentication(out, 11, data);
}
void append_authentication_sasl_final(std::string& out, std::string_view data) {
  append_authentication(out, 12, data);
}

void append_parameter_status(std::string& out, std::string_view name, std::string_view value) {
  const Open open(out, 'S');
  put_cstring(out, name);
  put_cstring(out, value);
}

void append_backend_key_data(std::string& out, std::uint32_t pid, std::string_view key) {
  const Open open(out, 'K');
  put_u32(out, pid);
  out.append(key);
}

void append_ready_for_query(std::string& out, TransactionState state) {
  const Open open(out, 'Z');
  out.push_back(static_cast<char>(state));
}

void append_negotiate_protocol_version(std::string& out, std::span<const std::string> unknown_options) {
  const Open open(out, 'v');
  // The documentation says "minor version", but server and libpq exchange the whole number.
  put_u32(out, 0x00030000);
  put_u32(out, static_cast<std::uint32_t>(unknown_options.size()));
  for (const std::string& name : unknown_options) put_cstring(out, name);
}

void append_sasl_initial_response(std::string& out, std::string_view mechanism, std::string_view response) {
  const Open open(out, 'p');
  put_cstring(out, mechanism);
  put_u32(out, static_cast<std::uint32_t>(response.size()));
  out.append(response);
}

void append_sasl_response(std::string& out, std::string_view response) {
  const Open open(out, 'p');
  out.append(response);
}

void append_cancel_request(std::string& out, std::uint32_t pid, std::string_view key) {
  put_u32(out, static_cast<std::uint32_t>(12 + key.size()));
  put_u32(out, 80877102);
  put_u32(out, pid);
  out.append(key);
}

void append_ssl_request(std::string& out) {
  put_u32(out, 8);
  put_u32(out, 80877103);
}

void append_terminate(std::string& out) {
  const Open open(out, 'X');
}
void append_flush(std::string& out) {
  const Open open(out, 'H');
}

}  // namespace daypass::wire::postgres
