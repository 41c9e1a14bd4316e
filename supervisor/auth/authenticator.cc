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
#include <vector>

#include "common/text.h"
#include "supervisor/config/web_config.h"

namespace iperf3_exporter {
namespace {

// Two, so that one user with an expensive hash does not delay all others.
constexpr std::size_t kBcryptThreads = 2;
// The event loop has priority on a machine with few cores.
constexpr int kNice = 10;
constexpr std::size_t kMaxRememberedRejections = 1024;

// Runs on a thread of the pool.
bool VerifyBcrypt(const std::string& password, const std::string& hash) {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // 0: this thread.
  auto data = std::make_unique<crypt_data>();
  const char* result = ::crypt_r(password.c_str(), hash.c_str(), data.get());
  const bool matches = result != nullptr && hash == result &&
                       // crypt_r would ignore what follows a NUL.
                       password.find('\0') == std::string::npos;
  OPENSSL_cleanse(data.get(), sizeof(crypt_data));
  return matches;
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

std::optional<Credentials> ParseBasicAuthorization(std::string_view value) {
  constexpr std::string_view kScheme = "Basic ";
  if (!EqualsIgnoringCase(value.substr(0, kScheme.size()), kScheme)) return std::nullopt;
  value.remove_prefix(kScheme.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  const std::string decoded = DecodeBase64(value);
  const auto colon = decoded.find(':');
  if (colon == std::string::npos) return std::nullopt;
  return Credentials{decoded.substr(0, colon), decoded.substr(colon + 1)};
}

Authenticator::Authenticator(event_base* base)
    : pool_(base, {.max_threads = kBcryptThreads,
                   .max_queued = kBcryptThreads,
                   .idle_timeout = std::chrono::seconds(30)}) {
  // Not RAND_bytes, which touches 2 MB of libcrypto even if neither TLS nor passwords are used.
  if (::getrandom(key_.data(), key_.size(), 0) != static_cast<ssize_t>(key_.size())) std::abort();
}

void Authenticator::SetUsers(std::map<std::string, std::string> users) {
  users_ = std::move(users);
  std::erase_if(accepted_, [this](const auto& entry) { return !users_.contains(entry.first); });
  dummies_.reset();
  if (!users_.empty()) dummies_ = std::make_unique<const DummyHashes>(users_);
}

Authenticator::Digest Authenticator::DigestOf(const Credentials& credentials,
                                              const std::string& hash) const {
  std::string text;
  for (const std::string& part : {credentials.user, hash, credentials.password}) {
    text += std::to_string(part.size()) + ":" + part;
  }
  Digest digest{};
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data(), nullptr);
  OPENSSL_cleanse(text.data(), text.size());
  return digest;
}

std::optional<AuthOutcome> Authenticator::CachedOutcome(const PendingCheck& check) const {
  const auto accepted = accepted_.find(check.credentials.user);
  if (accepted != accepted_.end() && check.user_exists &&
      CRYPTO_memcmp(accepted->second.data(), check.digest.data(), check.digest.size()) == 0) {
    return AuthOutcome::kAccepted;
  }
  if (rejected_.contains(check.digest)) return AuthOutcome::kRefused;
  return std::nullopt;
}

Authenticator::PendingCheck Authenticator::Prepare(Credentials credentials) const {
  const auto user = users_.find(credentials.user);
  PendingCheck check;
  check.user_exists = user != users_.end();
  // Computed for known users too, so that the time does not reveal who exists.
  check.hash = dummies_->For(credentials.user);
  if (check.user_exists) check.hash = user->second;
  check.digest = DigestOf(credentials, check.hash);
  check.credentials = std::move(credentials);
  return check;
}

bool Authenticator::Remembers(const Credentials& credentials) const {
  return dummies_ && CachedOutcome(Prepare(credentials)) == AuthOutcome::kAccepted;
}

void Authenticator::Check(Credentials credentials, std::string client, std::function<bool()> wanted,
                          std::function<void(AuthOutcome)> done) {
  if (!dummies_) return done(AuthOutcome::kRefused);
  PendingCheck check = Prepare(std::move(credentials));
  if (const auto known = CachedOutcome(check)) return done(*known);
  check.client = std::move(client);
  check.wanted = std::move(wanted);
  check.done = std::move(done);
  const std::string user = check.credentials.user;
  const Turn turn = NextTurn(check);
  waiting_.emplace(turn, std::move(check));
  DropSurplus(user);
  RunNext();
}

std::size_t Authenticator::CountChecks(const std::string& user) const {
  const auto waiting = std::ranges::count_if(
      waiting_, [&user](const auto& entry) { return entry.second.credentials.user == user; });
  return static_cast<std::size_t>(waiting) + running_.count(user);
}

Authenticator::Turn Authenticator::NextTurn(const PendingCheck& check) const {
  std::size_t of_client = 0;
  std::size_t of_client_and_name = 0;
  for (const auto& [turn, other] : waiting_) {
    if (other.client != check.client) continue;
    ++of_client;
    if (other.credentials.user == check.credentials.user) ++of_client_and_name;
  }
  return {round_ + of_client_and_name, of_client};
}

bool Authenticator::ExceedsLimit(const std::string& user) const {
  return waiting_.size() + running_.size() > kMaxWaiting || CountChecks(user) > kMaxWaitingPerName;
}

void Authenticator::DropSurplus(const std::string& user) {
  if (!ExceedsLimit(user)) return;
  std::erase_if(waiting_, [](const auto& entry) { return !entry.second.wanted(); });
  if (!ExceedsLimit(user)) return;
  const bool of_user = CountChecks(user) > kMaxWaitingPerName;
  std::map<std::string_view, std::vector<Waiting::iterator>> by_client;
  std::size_t max = 0;
  for (auto entry = waiting_.begin(); entry != waiting_.end(); ++entry) {
    if (of_user && entry->second.credentials.user != user) continue;
    auto& checks = by_client[entry->second.client];
    checks.push_back(entry);
    max = std::max(max, checks.size());
  }
  std::vector<Waiting::iterator> candidates;
  for (const auto& [client, checks] : by_client) {
    if (checks.size() == max) candidates.insert(candidates.end(), checks.begin(), checks.end());
  }
  const auto dropped = waiting_.extract(candidates[random_() % candidates.size()]);
  dropped.mapped().done(AuthOutcome::kBusy);
}

// Starts waiting checks while threads are free. Answers those whose outcome is known by now.
void Authenticator::RunNext() {
  while (running_.size() < kBcryptThreads) {
    const auto next = std::ranges::find_if(waiting_, [this](const auto& entry) {
      return !running_.contains(entry.second.credentials.user);
    });
    if (next == waiting_.end()) return;
    round_ = next->first.first;
    PendingCheck check = std::move(next->second);
    waiting_.erase(next);
    if (!check.wanted()) continue;
    // An earlier check of the same user may have tried the same password.
    if (const auto known = CachedOutcome(check)) {
      check.done(*known);
      continue;
    }
    const auto matches = std::make_shared<bool>(false);
    auto task = pool_.Submit(
        [matches, password = check.credentials.password, hash = check.hash] {
          *matches = VerifyBcrypt(password, hash);
        },
        [this, user = check.credentials.user, matches] { OnVerified(user, *matches); });
    if (!task) {
      check.done(AuthOutcome::kBusy);
      continue;
    }
    const std::string user = check.credentials.user;
    running_.emplace(user, RunningCheck{std::move(check), std::move(*task)});
  }
}

void Authenticator::OnVerified(const std::string& user, bool matches) {
  PendingCheck check = std::move(running_.extract(user).mapped().check);
  const auto outcome =
      matches && check.user_exists ? AuthOutcome::kAccepted : AuthOutcome::kRefused;
  Remember(check, outcome);
  RunNext();
  if (check.wanted()) check.done(outcome);
  OPENSSL_cleanse(check.credentials.password.data(), check.credentials.password.size());
}

void Authenticator::Remember(const PendingCheck& check, AuthOutcome outcome) {
  if (outcome == AuthOutcome::kRefused) {
    if (rejected_.size() >= kMaxRememberedRejections) rejected_.clear();
    rejected_.insert(check.digest);
    return;
  }
  const auto user = users_.find(check.credentials.user);
  if (user != users_.end() && user->second == check.hash) accepted_[user->first] = check.digest;
}

}  // namespace iperf3_exporter
