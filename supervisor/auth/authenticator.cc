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

// Two, so that one user with a costly hash does not delay all others.
constexpr std::size_t kThreads = 2;
// The event loop has priority on a machine with few cores.
constexpr int kNice = 10;
constexpr std::size_t kMaxRejected = 1024;

// Runs on a thread of the pool.
bool VerifyBcrypt(const std::string& password, const std::string& hash) {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // 0: this thread.
  auto data = std::make_unique<crypt_data>();
  const char* result = ::crypt_r(password.c_str(), hash.c_str(), data.get());
  const bool right = result != nullptr &&
                     hash == std::string_view(result).substr(0, kBcryptHashBytes) &&
                     std::string_view(result).size() == kBcryptHashBytes &&
                     // crypt_r would ignore what follows a NUL.
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
            // At most one task per queue.
            {.max_threads = kThreads,
             .max_queued = kMaxWaiting,
             .idle_timeout = std::chrono::seconds(30)}) {
  // Not RAND_bytes: it would load 2 MB of libcrypto where nobody uses TLS or passwords.
  if (::getrandom(key_.data(), key_.size(), 0) != static_cast<ssize_t>(key_.size())) std::abort();
}

void Authenticator::SetUsers(std::map<std::string, std::string> users) {
  users_ = std::move(users);
  std::erase_if(accepted_, [this](const auto& entry) { return !users_.contains(entry.first); });
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

bool Authenticator::IsAccepted(const PendingCheck& check) const {
  const auto known = accepted_.find(check.credentials.user);
  return known != accepted_.end() && check.user_exists &&
         CRYPTO_memcmp(known->second.data(), check.digest.data(), check.digest.size()) == 0;
}

void Authenticator::Check(Credentials credentials, std::function<bool()> wanted,
                          std::function<void(AuthOutcome)> done) {
  if (!dummies_) return done(AuthOutcome::kRefused);
  const auto user = users_.find(credentials.user);
  PendingCheck check;
  check.user_exists = user != users_.end();
  // Computed for a known user too, because it takes time.
  std::string dummy = dummies_->For(credentials.user);
  check.hash = check.user_exists ? user->second : std::move(dummy);
  check.digest = DigestOf({credentials.user, check.hash, credentials.password});
  check.credentials = std::move(credentials);
  if (IsAccepted(check)) return done(AuthOutcome::kAccepted);
  if (rejected_.contains(check.digest)) return done(AuthOutcome::kRefused);

  const Digest name = DigestOf({check.credentials.user});
  if (!HasRoom(name)) DropUnwanted();
  if (!HasRoom(name)) return done(AuthOutcome::kBusy);
  check.wanted = std::move(wanted);
  check.done = std::move(done);
  NameQueue& queue = queues_[name];
  queue.checks.push_back(std::move(check));
  ++waiting_;
  if (queue.checks.size() == 1) RunNext(name);
}

bool Authenticator::HasRoom(const Digest& name) const {
  if (waiting_ >= kMaxWaiting) return false;
  const auto queue = queues_.find(name);
  return queue == queues_.end() || queue->second.checks.size() < kMaxWaitingPerName;
}

// A client that has gone keeps no place, unless its password is being verified right now.
void Authenticator::DropUnwanted() {
  std::vector<Digest> stopped;
  for (auto& [name, queue] : queues_) {
    const bool begun = queue.task.HasBegun();
    const bool first_goes = !begun && !queue.checks.front().wanted();
    const auto first = queue.checks.begin() + (begun ? 1 : 0);
    const auto kept = std::remove_if(first, queue.checks.end(),
                                     [](const PendingCheck& check) { return !check.wanted(); });
    waiting_ -= static_cast<std::size_t>(queue.checks.end() - kept);
    queue.checks.erase(kept, queue.checks.end());
    if (!first_goes) continue;
    queue.task.Abandon();
    stopped.push_back(name);
  }
  for (const Digest& name : stopped) RunNext(name);
}

// False if the pool has no room.
bool Authenticator::SubmitFirst(const Digest& name, NameQueue& queue) {
  const PendingCheck& check = queue.checks.front();
  const auto right = std::make_shared<bool>(false);
  auto task = pool_.Submit([right, password = check.credentials.password,
                            hash = check.hash] { *right = VerifyBcrypt(password, hash); },
                           [this, name, right] { OnVerified(name, *right); });
  if (!task) return false;
  queue.task = std::move(*task);
  return true;
}

// Answers the checks at the head of a queue until one needs a bcrypt.
void Authenticator::RunNext(const Digest& name) {
  const auto found = queues_.find(name);
  while (found != queues_.end() && !found->second.checks.empty()) {
    NameQueue& queue = found->second;
    const PendingCheck& check = queue.checks.front();
    // An earlier check of this queue may have had the same password.
    const bool accepted = IsAccepted(check);
    const bool rejected = rejected_.contains(check.digest);
    if (check.wanted() && !accepted && !rejected && SubmitFirst(name, queue)) return;
    const PendingCheck answered = std::move(queue.checks.front());
    queue.checks.pop_front();
    --waiting_;
    if (!answered.wanted()) continue;
    answered.done(accepted   ? AuthOutcome::kAccepted
                  : rejected ? AuthOutcome::kRefused
                             : AuthOutcome::kBusy);
  }
  if (found != queues_.end()) queues_.erase(found);
}

void Authenticator::OnVerified(const Digest& name, bool right) {
  const Digest queue_name = name;  // `name` belongs to the task, which RunNext replaces
  NameQueue& queue = queues_[queue_name];
  PendingCheck check = std::move(queue.checks.front());
  queue.checks.pop_front();
  --waiting_;
  const bool accepted = right && check.user_exists;
  Remember(check, accepted);
  RunNext(queue_name);
  if (check.wanted()) check.done(accepted ? AuthOutcome::kAccepted : AuthOutcome::kRefused);
  OPENSSL_cleanse(check.credentials.password.data(), check.credentials.password.size());
}

void Authenticator::Remember(const PendingCheck& check, bool right) {
  if (right) {
    const auto user = users_.find(check.credentials.user);
    if (user != users_.end() && user->second == check.hash) {
      accepted_[check.credentials.user] = check.digest;
    }
    return;
  }
  if (!rejected_.insert(check.digest).second) return;
  rejected_in_order_.push_back(check.digest);
  if (rejected_in_order_.size() <= kMaxRejected) return;
  rejected_.erase(rejected_in_order_.front());
  rejected_in_order_.pop_front();
}

}  // namespace iperf3_exporter
