#include "supervisor/auth/authenticator.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "common/text.h"
#include "supervisor/config/web_config.h"

namespace iperf3_exporter {
namespace {

// Two, so that one user with a costly hash does not hold up all others.
constexpr std::size_t kThreads = 2;
// The event loop goes first on a machine with few cores.
constexpr int kNice = 10;
constexpr std::size_t kMaxKnownWrong = 1024;

// Runs on a thread of the pool.
bool VerifyBcrypt(const std::string& password, const std::string& hash) {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // 0: this thread.
  auto data = std::make_unique<crypt_data>();
  const char* result = ::crypt_r(password.c_str(), hash.c_str(), data.get());
  const bool right = result != nullptr &&
                     hash == std::string_view(result).substr(0, kBcryptHashBytes) &&
                     std::string_view(result).size() == kBcryptHashBytes &&
                     // A NUL would hide what is behind it.
                     password.find('\0') == std::string::npos;
  OPENSSL_cleanse(data.get(), sizeof(crypt_data));
  return right;
}

std::string DecodeBase64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return {};
  std::string decoded(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return {};
  const auto padding = std::count(text.end() - 2, text.end(), '=');
  decoded.resize(static_cast<std::size_t>(size) - static_cast<std::size_t>(padding));
  return decoded;
}

}  // namespace

bool ParseBasicAuthorization(std::string_view value, Credentials& credentials) {
  constexpr std::string_view kScheme = "Basic ";
  if (!EqualsIgnoringCase(value.substr(0, kScheme.size()), kScheme)) return false;
  value.remove_prefix(kScheme.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  const std::string decoded = DecodeBase64(value);
  const auto colon = decoded.find(':');
  if (colon == std::string::npos) return false;
  credentials.user = decoded.substr(0, colon);
  credentials.password = decoded.substr(colon + 1);
  return true;
}

Authenticator::Authenticator(event_base* base)
    : pool_(base,
            // One per line.
            {.max_threads = kThreads,
             .max_queued = kMaxWaiting,
             .idle_timeout = std::chrono::seconds(30)}) {
  // Not RAND_bytes: it would bring 2 MB of libcrypto to life where nobody uses TLS or passwords.
  if (::getrandom(key_.data(), key_.size(), 0) != static_cast<ssize_t>(key_.size())) std::abort();
}

void Authenticator::SetUsers(std::map<std::string, std::string> users) {
  users_ = std::move(users);
  std::erase_if(known_right_, [this](const auto& entry) { return !users_.contains(entry.first); });
  dummies_.reset();
  if (!users_.empty()) dummies_ = std::make_unique<const DummyHashes>(users_);
}

Authenticator::Digest Authenticator::DigestOf(const std::vector<std::string_view>& parts) const {
  std::string text;
  for (const std::string_view part : parts) {
    text += std::to_string(part.size()) + ":";
    text += part;
  }
  Digest digest{};
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), nullptr);
  OPENSSL_cleanse(text.data(), text.size());
  return digest;
}

void Authenticator::Check(Credentials credentials, std::function<bool()> wanted,
                          std::function<void(AuthOutcome)> done) {
  if (!dummies_) return done(AuthOutcome::kRefused);
  const auto user = users_.find(credentials.user);
  Question question;
  question.exists = user != users_.end();
  const std::string dummy = dummies_->For(credentials.user);
  question.hash = question.exists ? user->second : dummy;
  question.digest = DigestOf({credentials.user, question.hash, credentials.password});
  if (const auto right = known_right_.find(credentials.user);
      right != known_right_.end() && question.exists &&
      CRYPTO_memcmp(right->second.data(), question.digest.data(), question.digest.size()) == 0) {
    return done(AuthOutcome::kAccepted);
  }
  if (known_wrong_.contains(question.digest)) return done(AuthOutcome::kRefused);

  const Digest name = DigestOf({credentials.user});
  if (!HasRoom(name)) DropUnwanted();
  if (!HasRoom(name)) return done(AuthOutcome::kBusy);
  Line& line = lines_[name];
  question.credentials = std::move(credentials);
  question.wanted = std::move(wanted);
  question.done = std::move(done);
  line.waiting.push_back(std::move(question));
  ++waiting_;
  if (line.waiting.size() == 1) Start(name);
}

bool Authenticator::HasRoom(const Digest& name) const {
  if (waiting_ >= kMaxWaiting) return false;
  const auto line = lines_.find(name);
  return line == lines_.end() || line->second.waiting.size() < kMaxWaitingPerName;
}

// Who has gone keeps no place, except the one whose password is being checked right now.
void Authenticator::DropUnwanted() {
  std::vector<Digest> stopped;
  for (auto& [name, line] : lines_) {
    const bool begun = line.task.HasBegun();
    const bool first_goes = !begun && !line.waiting.front().wanted();
    const auto first = line.waiting.begin() + (begun ? 1 : 0);
    const auto kept = std::remove_if(first, line.waiting.end(),
                                     [](const Question& question) { return !question.wanted(); });
    waiting_ -= static_cast<std::size_t>(line.waiting.end() - kept);
    line.waiting.erase(kept, line.waiting.end());
    if (!first_goes) continue;
    line.task.Abandon();
    stopped.push_back(name);
  }
  for (const Digest& name : stopped) Start(name);
}

void Authenticator::Start(const Digest& name) {
  const auto found = lines_.find(name);
  while (found != lines_.end() && !found->second.waiting.empty()) {
    Line& line = found->second;
    const Question& question = line.waiting.front();
    // What an earlier one in this line has found out need not be found out again.
    const bool known_wrong = known_wrong_.contains(question.digest);
    const auto right = known_right_.find(question.credentials.user);
    const bool known_right = right != known_right_.end() && right->second == question.digest;
    if (question.wanted() && !known_wrong && !known_right) {
      const auto verdict = std::make_shared<bool>(false);
      auto task = pool_.Submit([verdict, password = question.credentials.password,
                                hash = question.hash] { *verdict = VerifyBcrypt(password, hash); },
                               [this, name, verdict] { OnChecked(name, *verdict); });
      if (task) {
        line.task = std::move(*task);
        return;
      }
    }
    Question answered = std::move(line.waiting.front());
    line.waiting.pop_front();
    --waiting_;
    if (!answered.wanted()) continue;
    answered.done(known_right ? AuthOutcome::kAccepted
                              : (known_wrong ? AuthOutcome::kRefused : AuthOutcome::kBusy));
  }
  if (found != lines_.end()) lines_.erase(found);
}

void Authenticator::OnChecked(const Digest& name, bool right) {
  const Digest line_name = name;  // `name` lives in the task that is about to go.
  Line& line = lines_[line_name];
  Question question = std::move(line.waiting.front());
  line.waiting.pop_front();
  --waiting_;
  Remember(question, right && question.exists);
  Start(line_name);
  if (question.wanted()) {
    question.done(right && question.exists ? AuthOutcome::kAccepted : AuthOutcome::kRefused);
  }
  OPENSSL_cleanse(question.credentials.password.data(), question.credentials.password.size());
}

void Authenticator::Remember(const Question& question, bool right) {
  if (right) {
    const auto user = users_.find(question.credentials.user);
    if (user != users_.end() && user->second == question.hash) {
      known_right_[question.credentials.user] = question.digest;
    }
    return;
  }
  if (!known_wrong_.insert(question.digest).second) return;
  wrong_in_order_.push_back(question.digest);
  if (wrong_in_order_.size() <= kMaxKnownWrong) return;
  known_wrong_.erase(wrong_in_order_.front());
  wrong_in_order_.pop_front();
}

}  // namespace iperf3_exporter
