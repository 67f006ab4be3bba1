// Result<T>: what can go wrong is a value. Owns the closed list of error codes that API, CLI and exit codes map from.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "base/assert.h"

namespace daypass::base {

/// The closed taxonomy. Each code has one HTTP status, one CLI exit code and one SQLSTATE class at the gate.
enum class Code {
  invalid,          ///< the input is malformed or breaks a rule; the caller must change it (exit 2 / 1, HTTP 400)
  unauthenticated,  ///< no login, or it ended (exit 4, HTTP 401, SQLSTATE 28P01)
  denied,           ///< known, and refused by policy (exit 3, HTTP 403, SQLSTATE 42501)
  not_found,        ///< no such thing in this tenant (exit 6, HTTP 404)
  conflict,         ///< the thing changed, or already exists (exit 1, HTTP 409)
  unavailable,      ///< a peer (identity provider, target, server) can't be reached (exit 7, HTTP 503)
  timeout,          ///< a deadline passed; what happened on the other side is unknown (exit 7, HTTP 504)
  exhausted,        ///< a limit, quota or the disk is full (exit 1, HTTP 429 or 507)
  ended,            ///< access ended while in use (exit 8, HTTP 410, SQLSTATE 57P01)
  internal,         ///< a bug or a broken store (exit 1, HTTP 500)
};

/// "invalid", "unauthenticated", … the spelling in the API's problem documents.
std::string_view to_string(Code code) noexcept;

/// A failure, safe to show to whoever caused it: never holds a secret, a token or another tenant's data.
struct Error {
  Code code = Code::internal;
  std::string check;    ///< stable name of the one check that failed, e.g. "id_token.exp_missing"; never empty
  std::string message;  ///< what failed and why, one sentence, lower case, no full stop
  std::string hint;     ///< what to do next (a command where there is one); may be empty

  Error(Code c, std::string chk, std::string msg, std::string next = {})
      : code(c), check(std::move(chk)), message(std::move(msg)), hint(std::move(next)) {}

  bool operator==(const Error&) const = default;
};

/// Either a T or an Error. Converts from both, so `return value;` and `return Error{…};` read plainly.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : inner_(std::move(value)) {}                     // NOLINT(google-explicit-constructor) by design
  Result(Error error) : inner_(std::unexpect, std::move(error)) {}  // NOLINT(google-explicit-constructor) by design

  [[nodiscard]] bool ok() const noexcept { return inner_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }

  T& value() & {
    DP_ASSERT(ok());
    return *inner_;
  }
  const T& value() const& {
    DP_ASSERT(ok());
    return *inner_;
  }
  T&& value() && {
    DP_ASSERT(ok());
    return std::move(*inner_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    DP_ASSERT(!ok());
    return inner_.error();
  }
  Error&& error() && {
    DP_ASSERT(!ok());
    return std::move(inner_.error());
  }

 private:
  std::expected<T, Error> inner_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : inner_(std::unexpect, std::move(error)) {}  // NOLINT(google-explicit-constructor) by design

  [[nodiscard]] bool ok() const noexcept { return inner_.has_value(); }
  explicit operator bool() const noexcept { return ok(); }
  const Error& error() const& {
    DP_ASSERT(!ok());
    return inner_.error();
  }
  Error&& error() && {
    DP_ASSERT(!ok());
    return std::move(inner_.error());
  }

 private:
  std::expected<void, Error> inner_;
};

using Status = Result<void>;

}  // namespace daypass::base

#define DP_CONCAT_2(a, b) a##b
#define DP_CONCAT(a, b) DP_CONCAT_2(a, b)

/// `DP_TRY(auto x, f());` declares x from the value of f(), or returns its error from the enclosing function.
#define DP_TRY(declaration, expression)                                                                 \
  auto DP_CONCAT(dp_result_, __LINE__) = (expression);                                                  \
  if (!DP_CONCAT(dp_result_, __LINE__).ok()) return std::move(DP_CONCAT(dp_result_, __LINE__)).error(); \
  declaration = std::move(DP_CONCAT(dp_result_, __LINE__)).value()

/// `DP_CHECK(f());` returns the error of a Status (or any Result whose value is not wanted).
#define DP_CHECK(expression)                                                                 \
  do {                                                                                       \
    if (auto dp_status = (expression); !dp_status.ok()) return std::move(dp_status).error(); \
  } while (false)
