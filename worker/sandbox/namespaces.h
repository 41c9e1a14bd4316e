// Namespaces of the worker's own: mounts, System V IPC, host name and, for an ordinary user, users.
// Not the network, because iperf3 measures that of the host.
#pragma once

#include "common/sandbox_layer.h"

namespace iperf3_exporter {

// Returns kNotOffered if we are not allowed to create them (the filter of a container, a unit with
// RestrictNamespaces); then nothing has changed. An ordinary user keeps its uid and has all
// capabilities inside until it drops them. Call it before the process becomes not dumpable, after
// which it can't write the user map. Single-threaded. Clears the parent-death signal.
[[nodiscard]] LayerState EnterNamespaces();

}  // namespace iperf3_exporter
