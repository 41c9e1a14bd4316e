// The layers of protection of a process, and the state of each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace iperf3_exporter {

enum class SandboxLayer : std::uint8_t {
  kNoNewPrivileges,
  kDescriptors,  // nothing open but what the process needs
  kParentDeath,  // dies with its parent
  kNotDumpable,  // no core, no ptrace by its own user
  kRlimits,
  kEnvironment,  // a fresh minimal one
  kSeccomp,
  kLandlock,       // files
  kLandlockPorts,  // TCP to one port
  kLandlockScope,  // signals and abstract sockets of other processes
  kUser,           // if started as root: a uid other than the supervisor's
  kCapabilities,   // none, and an empty bounding set
  kNamespaces,
};

inline constexpr std::array<std::string_view, 13> kSandboxLayerNames = {
    "no_new_privileges", "descriptors",    "parent_death", "not_dumpable",
    "rlimits",           "environment",    "seccomp",      "landlock",
    "landlock_ports",    "landlock_scope", "user",         "capabilities",
    "namespaces",
};

inline constexpr std::size_t kSandboxLayerCount = kSandboxLayerNames.size();

[[nodiscard]] constexpr std::string_view Name(SandboxLayer layer) {
  return kSandboxLayerNames[static_cast<std::size_t>(layer)];
}

// The values of --sandbox. kDiagnose reports the system calls that the filters would have denied.
enum class SandboxMode : std::uint8_t { kRequire, kBestEffort, kDiagnose };

inline constexpr std::array<std::string_view, 3> kSandboxModeNames = {"require", "best-effort",
                                                                      "diagnose"};

// From weakest to strongest. kNotOffered is the initial value.
enum class LayerState : std::uint8_t {
  kNotOffered,  // unavailable with this kernel or these privileges, or not used by this process
  kMissing,     // available, but enabling it failed
  kEnabled,
};

inline constexpr std::array<std::string_view, 3> kLayerStateNames = {"not_offered", "missing",
                                                                     "enabled"};

[[nodiscard]] constexpr std::string_view Name(LayerState state) {
  return kLayerStateNames[static_cast<std::size_t>(state)];
}

using LayerStates = std::array<LayerState, kSandboxLayerCount>;

struct SandboxReport {
  LayerStates worker{};
  LayerStates iperf3{};

  bool operator==(const SandboxReport&) const = default;
};

}  // namespace iperf3_exporter
