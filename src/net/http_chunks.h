// ChunkDecoder: the chunked transfer coding (RFC 9112 section 7.1), strict and incremental. Own code, because Beast's
// stops the process by an assertion when the last chunk of an empty body arrives in pieces. Private to the room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace daypass::net {

class ChunkDecoder {
 public:
  enum class Verdict { more, done, malformed, body_too_large, overhead_too_large };

  /// `most_body`: bytes of content. `most_overhead`: bytes of one chunk's extensions, and of the trailer section.
  ChunkDecoder(std::size_t most_body, std::size_t most_overhead)
      : most_body_(most_body), most_overhead_(most_overhead) {}

  /// Appends content to `body`; `taken` says how many of `bytes` belong to the message. Extensions and trailers are
  /// checked and dropped. After `more` all of them were taken; after a refusal don't call again.
  Verdict feed(std::string_view bytes, std::string& body, std::size_t& taken);

 private:
  enum class State : std::uint8_t {
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    line,
    line_text,
    line_lf,
    end_lf,
    done
  };

  /// One byte that isn't content.
  Verdict step(char c, std::size_t body_size);
  Verdict end_of_size(std::size_t body_size);

  std::size_t most_body_;
  std::size_t most_overhead_;
  std::size_t overhead_ = 0;
  std::uint64_t left_ = 0;  // of the current chunk
  unsigned digits_ = 0;
  State state_ = State::size;
};

}  // namespace daypass::net
