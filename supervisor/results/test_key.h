// What makes two tests equal: all parameters, and the addresses that the target has.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/iperf3/test_options.h"
#include "common/net/host.h"
#include "common/net/ip_address.h"

namespace iperf3_exporter {

struct Module;

// Compares modules as objects: after a reload, one of the same name is another one. Keeps no module
// alive, because a module has credentials and a key may be kept for long.
struct ModuleIdentity {
  std::weak_ptr<const Module> module;

  bool operator==(const ModuleIdentity& other) const {
    return !module.owner_before(other.module) && !other.module.owner_before(module);
  }
};

struct TestKey {
  Host target;                       // a name in lower case; of an address, no text
  std::vector<std::uint16_t> ports;  // ascending
  TestOptions test;                  // as requested
  std::optional<Host> bind;          // as `target`
  IpVersion ip_version = IpVersion::kAny;
  ModuleIdentity module;
  std::vector<AddressPair> addresses;  // ascending

  bool operator==(const TestKey&) const = default;
};

}  // namespace iperf3_exporter
