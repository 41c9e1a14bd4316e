#include "worker/sandbox/landlock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace iperf3_exporter {
namespace {

// linux/landlock.h
constexpr std::uint64_t kFsExecute = 1U << 0U;
constexpr std::uint64_t kFsWriteFile = 1U << 1U;
constexpr std::uint64_t kFsReadFile = 1U << 2U;
constexpr std::uint64_t kFsRemoveDir = 1U << 4U;
constexpr std::uint64_t kFsRemoveFile = 1U << 5U;
constexpr std::uint64_t kFsMakeReg = 1U << 8U;
constexpr std::uint64_t kFsTruncate = 1U << 14U;
constexpr std::uint64_t kNetBindTcp = 1U << 0U;
constexpr std::uint64_t kNetConnectTcp = 1U << 1U;
constexpr std::uint64_t kScopeAll = 3;  // abstract sockets, signals
constexpr unsigned kVersionFlag = 1;
constexpr unsigned kRulePathBeneath = 1;
constexpr unsigned kRuleNetPort = 2;

struct RulesetAttribute {
  std::uint64_t handled_fs = 0;
  std::uint64_t handled_net = 0;  // version 4
  std::uint64_t scoped = 0;       // version 6
};

struct [[gnu::packed]] PathAttribute {
  std::uint64_t allowed = 0;
  std::int32_t parent_fd = -1;
};

struct PortAttribute {
  std::uint64_t allowed = 0;
  std::uint64_t port = 0;
};

// Every file right of that ABI version. One that is handled but not allowed by a rule is denied.
std::uint64_t HandledFileRights(int abi) {
  constexpr std::uint64_t kFirst = (1U << 13U) - 1;
  std::uint64_t handled = kFirst;
  if (abi >= 2) handled |= 1U << 13U;  // moving between directories
  if (abi >= 3) handled |= kFsTruncate;
  if (abi >= 5) handled |= 1U << 15U;  // ioctl of devices
  return handled;
}

std::uint64_t Rights(FileAccess access) {
  switch (access) {
    case FileAccess::kRead:
      return kFsReadFile;
    case FileAccess::kExecute:
      return kFsReadFile | kFsExecute;
    case FileAccess::kTemporaryFiles:
      return kFsReadFile | kFsWriteFile | kFsMakeReg | kFsRemoveFile | kFsTruncate;
    case FileAccess::kRemoveDirectory:
      return kFsRemoveDir;
  }
  return 0;
}

// The size of the structure in that version. The kernel rejects nonzero bytes beyond it.
std::size_t AttributeBytes(int abi) {
  if (abi >= kLandlockAbiWithScope) return sizeof(RulesetAttribute);
  return abi >= kLandlockAbiWithPorts ? 2 * sizeof(std::uint64_t) : sizeof(std::uint64_t);
}

Result<UniqueFd> CreateRuleset(const RulesetAttribute& attribute, std::size_t bytes) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attribute, bytes, 0)));
  if (!fd) return ErrnoError("landlock_create_ruleset");
  return fd;
}

template <typename Attribute>
Status AddRule(int ruleset_fd, unsigned type, const Attribute& attribute) {
  if (::syscall(SYS_landlock_add_rule, ruleset_fd, type, &attribute, 0) == 0) return {};
  return ErrnoError("landlock_add_rule");
}

}  // namespace

int LandlockAbi() {
  const long abi = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kVersionFlag);
  return abi > 0 ? static_cast<int>(abi) : 0;
}

Status EnterFileRules(int abi, const std::vector<FileRule>& rules) {
  RulesetAttribute attribute{.handled_fs = HandledFileRights(abi)};
  if (abi >= kLandlockAbiWithScope) attribute.scoped = kScopeAll;
  auto ruleset = CreateRuleset(attribute, AttributeBytes(abi));
  if (!ruleset) return tl::unexpected(ruleset.error());
  for (const FileRule& rule : rules) {
    const PathAttribute path{.allowed = Rights(rule.access) & attribute.handled_fs,
                             .parent_fd = rule.fd};
    if (auto added = AddRule(ruleset->get(), kRulePathBeneath, path); !added) return added;
  }
  if (!RestrictSelf(ruleset->get())) return ErrnoError("landlock_restrict_self");
  return {};
}

Result<UniqueFd> CreatePortRules(std::uint16_t port, bool binds_port) {
  const RulesetAttribute attribute{.handled_net = kNetConnectTcp | (binds_port ? 0 : kNetBindTcp)};
  auto ruleset = CreateRuleset(attribute, 2 * sizeof(std::uint64_t));
  if (!ruleset || port == 0) return ruleset;
  const PortAttribute rule{.allowed = kNetConnectTcp, .port = port};
  if (const Status added = AddRule(ruleset->get(), kRuleNetPort, rule); !added) {
    return tl::unexpected(added.error());
  }
  return ruleset;
}

bool RestrictSelf(int ruleset_fd) {
  return ::syscall(SYS_landlock_restrict_self, ruleset_fd, 0) == 0;
}

}  // namespace iperf3_exporter
