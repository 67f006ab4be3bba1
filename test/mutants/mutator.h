// Random changes of a message that somebody signed, as a stranger on its way could make them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace daypass::mutants {

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(random_() % n); }
  bool one_in(std::size_t n) { return below(n) == 0; }

  /// One to four changes of bytes; `others` are messages that pieces may come from, `alphabet` what new bytes are made
  /// of most of the time.
  std::string bytes(std::string text, const std::vector<std::string>& others, std::string_view alphabet) {
    for (std::size_t n = 1 + below(4); n > 0; --n) change(text, others, alphabet);
    return text;
  }

 private:
  void change(std::string& text, const std::vector<std::string>& others, std::string_view alphabet) {
    const std::size_t at = below(text.size() + 1);
    const std::size_t size = below(std::min<std::size_t>(text.size() - at, one_in(4) ? 512 : 8) + 1);
    const char letter = one_in(4) || alphabet.empty() ? static_cast<char>(random_()) : alphabet[below(alphabet.size())];
    const std::string& other = others[below(others.size())];
    switch (below(9)) {
      case 0:
        if (at < text.size()) text[at] = static_cast<char>(text[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < text.size()) text[at] = letter;
        break;
      case 2:
        text.insert(at, 1, letter);
        break;
      case 3:
        text.erase(at, size);
        break;
      case 4:
        text.insert(below(text.size() + 1), text.substr(at, size));
        break;
      case 5: {
        std::string piece = text.substr(at, size);
        text.erase(at, size);
        text.insert(below(text.size() + 1), piece);
        break;
      }
      case 6: {
        const std::size_t from = below(other.size() + 1);
        text.replace(at, size, other.substr(from, size));
        break;
      }
      case 7:  // its beginning, and another's end
        text = text.substr(0, at) + other.substr(std::min(at, other.size()));
        break;
      default:
        if (one_in(8)) text.resize(at);
        break;
    }
  }

  std::mt19937_64 random_;
};

}  // namespace daypass::mutants
