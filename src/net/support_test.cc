// Implementation of test_support.h; named *_test.cc so that it is built into the test binary only.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <thread>

#include "net/test_support.h"

namespace daypass::net::testing_support {

namespace {

std::string bio_text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

void set_timeout(int fd) {
  const timeval limit{20, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

}  // namespace

TestIdentity make_identity(const std::vector<std::string>& names) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  std::string joined;
  for (const std::string& entry : names) joined += (joined.empty() ? "" : ",") + entry;
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, joined.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  X509_sign(certificate, key, EVP_sha256());
  TestIdentity out;
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, certificate);
  out.certificate_pem = bio_text(bio);
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  out.key_pem = bio_text(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return out;
}

void Loop::add(awaitable<void> task) {
  spawn(io_, std::move(task), [this](std::exception_ptr failure) {
    if (failure) failure_ = failure;
  });
}

void Loop::run() {
  io_.run_for(std::chrono::seconds(60));
  EXPECT_TRUE(io_.stopped()) << "a coroutine hangs";
  if (failure_) std::rethrow_exception(failure_);
}

RawClient RawClient::tcp(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0) << strerror(errno);
  return RawClient(fd);
}

RawClient RawClient::unix_socket(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  path.copy(to.sun_path, sizeof to.sun_path - 1);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0) << strerror(errno);
  return RawClient(fd);
}

RawClient::RawClient(int fd) : fd_(fd) {
  set_timeout(fd_);
}
RawClient::RawClient(RawClient&& other) noexcept : fd_(other.release()), buffer_(std::move(other.buffer_)) {}
RawClient::~RawClient() {
  if (fd_ >= 0) ::close(fd_);
}
int RawClient::release() noexcept {
  return std::exchange(fd_, -1);
}

void RawClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;  // the peer has closed: the test looks at what comes back
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string RawClient::receive_until(std::string_view end) {
  std::array<char, 4096> piece{};
  std::size_t at = 0;
  while ((at = buffer_.find(end)) == std::string::npos) {
    const ssize_t count = ::recv(fd_, piece.data(), piece.size(), 0);
    if (count <= 0) {
      if (count < 0 && errno != ECONNRESET) ADD_FAILURE() << "nothing received: " << strerror(errno);
      return std::exchange(buffer_, {});
    }
    buffer_.append(piece.data(), static_cast<std::size_t>(count));
  }
  std::string out = buffer_.substr(0, at + end.size());
  buffer_.erase(0, at + end.size());
  return out;
}

std::string RawClient::receive_response() {
  std::string head = receive_until("\r\n\r\n");
  const std::size_t at = head.find("content-length: ");
  if (at == std::string::npos) return head;
  const std::size_t length = std::stoul(head.substr(at + 16));
  std::array<char, 4096> piece{};
  while (buffer_.size() < length) {
    const ssize_t count = ::recv(fd_, piece.data(), piece.size(), 0);
    if (count <= 0) break;
    buffer_.append(piece.data(), static_cast<std::size_t>(count));
  }
  head += buffer_.substr(0, length);
  buffer_.erase(0, length);
  return head;
}

std::string RawClient::receive_all() {
  std::array<char, 16384> piece{};
  for (;;) {
    const ssize_t count = ::recv(fd_, piece.data(), piece.size(), 0);
    if (count > 0) {
      buffer_.append(piece.data(), static_cast<std::size_t>(count));
      continue;
    }
    if (count < 0 && errno == ECONNRESET) buffer_ += "<reset>";
    if (count < 0 && errno != ECONNRESET) ADD_FAILURE() << "the stream doesn't end: " << strerror(errno);
    return std::exchange(buffer_, {});
  }
}

void RawClient::end_sending() const {
  ::shutdown(fd_, SHUT_WR);
}

struct RawServer::State {
  Handle handle;
  int listen_fd = -1;
  std::thread acceptor;
  mutable std::mutex mutex;
  std::vector<std::thread> handlers;
  std::set<int> open;
  int accepted = 0;

  void serve(int fd) {
    {
      RawClient client(fd);
      handle(client);
      const std::lock_guard lock(mutex);
      open.erase(fd);
    }
  }
};

RawServer::RawServer(Handle handle) : state_(std::make_shared<State>()) {
  state_->handle = std::move(handle);
  state_->listen_fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  EXPECT_EQ(::bind(state_->listen_fd, reinterpret_cast<const sockaddr*>(&at), size), 0);
  EXPECT_EQ(::listen(state_->listen_fd, 64), 0);
  ::getsockname(state_->listen_fd, reinterpret_cast<sockaddr*>(&at), &size);
  port_ = ntohs(at.sin_port);
  State* const state = state_.get();
  state_->acceptor = std::thread([state] {
    for (;;) {
      const int fd = ::accept4(state->listen_fd, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      const std::lock_guard lock(state->mutex);
      ++state->accepted;
      state->open.insert(fd);
      state->handlers.emplace_back([state, fd] { state->serve(fd); });
    }
  });
}

RawServer::~RawServer() {
  ::shutdown(state_->listen_fd, SHUT_RDWR);
  state_->acceptor.join();
  {
    const std::lock_guard lock(state_->mutex);
    for (const int fd : state_->open) ::shutdown(fd, SHUT_RDWR);  // wakes handlers that still read
  }
  for (std::thread& handler : state_->handlers) handler.join();
  ::close(state_->listen_fd);
}

int RawServer::accepted() const {
  const std::lock_guard lock(state_->mutex);
  return state_->accepted;
}

LogLines::LogLines()
    : log_(clock_, base::Level::debug, [this](std::string_view line) {
        const std::lock_guard lock(mutex_);
        lines_.emplace_back(line);
        changed_.notify_all();
      }) {}

std::size_t LogLines::count(std::string_view text) {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::ranges::count_if(lines_, [&](const auto& line) { return line.contains(text); }));
}

bool LogLines::wait_for(std::string_view text, std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
    return static_cast<std::size_t>(
               std::ranges::count_if(lines_, [&](const auto& line) { return line.contains(text); })) >= count;
  });
}

std::string LogLines::all() {
  const std::lock_guard lock(mutex_);
  std::string out;
  for (const std::string& line : lines_) out += line;
  return out;
}

bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

TempFolder::TempFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "daypass-net-XXXXXX";
  path_ = ::mkdtemp(pattern.data());
}
TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace daypass::net::testing_support
