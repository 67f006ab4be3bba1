// The conformance format: one case file, the files it names, and whether this library agrees with all it expects. Reads
// files only through its caller.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace daypass::cedar {

/// The text of a file; nullopt when there is none.
using ReadFile = std::function<std::optional<std::string>(const std::string& path)>;

/// What one case held, and where it is not as expected.
struct CorpusCase {
  bool real_condition = false;  ///< a policy has a condition other than a bare true or false
  bool valid = false;           ///< `shouldValidate`
  bool json_schema = false;     ///< the schema was compared with its JSON form as the official engine writes it
  bool by_schema = false;       ///< the entities were read with the schema's types
  std::size_t requests = 0;     ///< decided, and compared
  std::size_t with_reasons = 0, with_errors = 0;
  std::size_t placeholders = 0;         ///< requests that carry no verdict, see run_corpus_case
  std::size_t entity_files = 0;         ///< compared with the official engine's verdict on the entities
  std::size_t checked_requests = 0;     ///< compared with its verdict on the request's types
  std::size_t refused = 0;              ///< of the last two: not conforming, and expected so
  std::vector<std::string> mismatches;  ///< a sentence each
};

/// Runs the case file at `path` (absolute): every request's decision, reasons and erring policies, `shouldValidate`,
/// and what the official engine said beside it or in a folder go-results above (NAME.validation.json,
/// NAME.cedarschema.json). Both evaluators, and explain(), must see the same, and what
/// is written must read back the same.
///
/// A file that the case names is looked up below each folder above it, nearest first, else its last component beside
/// it. Entities are read with the schema where they conform to it, else without. Cases written for a validator alone
/// carry a placeholder, an `allow` that names no policy, which no engine can give: it is counted and not compared where
/// the case has its validator's verdict beside it and should not validate.
///
/// nullopt: the file holds no case, that is, no `requests`.
std::optional<CorpusCase> run_corpus_case(const std::string& path, const ReadFile& read);

/// As large as the corpus' files need.
inline constexpr base::json::Limits corpus_limits{
    .bytes = std::size_t{64} << 20U, .depth = 256, .nodes = 1'000'000, .members = 4096};

}  // namespace daypass::cedar
